"""A Whisper model of random weights, converted for CTranslate2: real files, no meaning."""

from __future__ import annotations

from pathlib import Path

import torch

LANGUAGES = ("en", "de")
WORDS = ("hello", "world", "yes", "no")
VOCAB = (
    *(f"Ġ{word}" for word in WORDS),
    "<|endoftext|>",
    "<|startoftranscript|>",
    *(f"<|{code}|>" for code in LANGUAGES),
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
    *(f"<|{i * 0.02:.2f}|>" for i in range(1501)),
)


def write_tiny_whisper(folder: Path) -> Path:
    """A folder that faster-whisper loads."""
    from ctranslate2.converters import TransformersConverter
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    torch.manual_seed(0)
    ids = {token: i for i, token in enumerate(VOCAB)}
    config = WhisperConfig(
        vocab_size=len(VOCAB),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_mel_bins=80,
        decoder_start_token_id=ids["<|startoftranscript|>"],
        bos_token_id=ids["<|endoftext|>"],
        eos_token_id=ids["<|endoftext|>"],
        pad_token_id=ids["<|endoftext|>"],
        suppress_tokens=[],
        begin_suppress_tokens=[],
    )
    source = folder / "source"
    model = WhisperForConditionalGeneration(config)
    model.generation_config.alignment_heads = [[0, 0]]
    model.generation_config.lang_to_id = {f"<|{c}|>": ids[f"<|{c}|>"] for c in LANGUAGES}
    model.save_pretrained(source)
    _write_tokenizer(source, ids)
    out = folder / "tiny"
    TransformersConverter(str(source), copy_files=["tokenizer.json"]).convert(str(out))
    return out


def _write_tokenizer(folder: Path, ids: dict[str, int]) -> None:
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.decoders import ByteLevel
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(WordLevel(ids, unk_token="<|endoftext|>"))
    tokenizer.decoder = ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(t, special=True) for t in ids if t.startswith("<|") and t[2].isalpha()]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|endoftext|>", unk_token="<|endoftext|>"
    ).save_pretrained(folder)
