"""Why a window got its score: which modality, which words, where on the face, when in the sound.

Attribution is by integrated gradients (Sundararajan et al. 2017, "Axiomatic attribution for deep
networks"), so the shares of a modality sum to what it changed: its score less the score of a
baseline that shows nothing. How the modalities share the fused score is told by their exact
Shapley values, which every result carries.
"""
