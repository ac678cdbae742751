"""Results to Parquet files for later analysis: pip install "attune[bridges]".

    python examples/to_parquet.py results/ --seconds 60
    python -c 'import pyarrow.dataset as d; print(d.dataset("results").to_table().to_pandas())'

A file appears whole or not at all. On SIGTERM what was published before it is still written: it is
there when a later heartbeat is (awaited for five seconds at most). What is not known is null, never
0. One row for each settled result; `epoch` and `seq` tell rows that came twice.
"""

import argparse
import signal
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from attune.client import Delivery, Subscription
from streaming.modality import Modality
from streaming.results import EMOTIONS, Heartbeat, Result, Status

LAST_NS = 5 * 10**9

UNITS = {
    "start_ns": "ns of the stream's own time",
    "end_ns": "ns of the stream's own time",
    "published_unix_ns": "ns since 1970",
    "sentiment": "-1 to 1",
    "arousal": "-1 to 1",
    "loudness_dbfs": "dB of full scale",
}
TYPES = {
    **{name: pa.string() for name in ("stream", "status", "model")},
    **{name: pa.int64() for name in ("epoch", "seq", "index", "start_ns", "end_ns")},
    "published_unix_ns": pa.int64(),
    **{name: pa.float64() for name in ("sentiment", "sentiment_low", "sentiment_high", "arousal")},
    **{f"emotion_{name}": pa.float64() for name in EMOTIONS},
    **{f"coverage_{modality}": pa.float64() for modality in Modality},
    **{name: pa.int64() for name in ("faces", "words")},
    **{name: pa.float64() for name in ("face_share", "speech_share", "loudness_dbfs")},
}
SCHEMA = pa.schema(
    [pa.field(n, t, metadata={"unit": UNITS[n]} if n in UNITS else None) for n, t in TYPES.items()]
)


def row(result: Result) -> dict[str, object]:
    """One result, flat."""
    mood, signals = result.sentiment, result.signals
    coverage = {str(m): receipt.coverage for m, receipt in result.modalities.items()}
    seen, heard = coverage.get("video"), coverage.get("audio")
    return {
        **{name: getattr(result, name) for name in ("stream", "model", "epoch", "seq", "index")},
        **{name: getattr(result, name) for name in ("start_ns", "end_ns", "arousal")},
        "status": str(result.status),
        "published_unix_ns": result.timing.published_unix_ns,
        "sentiment": mood.score if mood else None,
        "sentiment_low": mood.low if mood else None,
        "sentiment_high": mood.high if mood else None,
        **{f"emotion_{name}": (result.emotions or {}).get(name) for name in EMOTIONS},
        **{f"coverage_{modality}": share for modality, share in coverage.items()},
        "faces": signals.faces if seen else None,
        "face_share": signals.face_share if seen else None,
        "speech_share": signals.speech_share if heard else None,
        "loudness_dbfs": signals.loudness_dbfs,
        "words": signals.words if "text" in coverage else None,
    }


def write(folder: Path, rows: list[dict[str, object]]) -> None:
    """One file more, named after its first row."""
    if not rows:
        return
    name = f"{rows[0]['epoch']}-{rows[0]['stream']}-{rows[0]['seq']:010}.parquet"
    half = folder / f".{name}.part"  # readers of the folder pass over names with a dot
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), half, compression="zstd")
    half.replace(folder / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the files go")
    parser.add_argument("--address", default="tcp://127.0.0.1:7100", help="of the publisher")
    parser.add_argument("--rows", type=int, default=10_000, help="at most so many in a file")
    parser.add_argument("--seconds", type=float, default=60.0, help="a new file so often")
    parser.add_argument("--keys", help="folder with CURVE keys")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    stopped_ns: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped_ns.append(time.time_ns()))
    rows: list[dict[str, object]] = []
    due_s = time.monotonic() + asked.seconds
    whole = False
    with Subscription(asked.address, keys=asked.keys) as subscription:
        while not stopped_ns or not (whole or time.time_ns() > stopped_ns[0] + LAST_NS):
            for item in subscription.receive():
                message = item.message if isinstance(item, Delivery) else None
                if isinstance(message, Heartbeat) and stopped_ns:
                    whole = message.published_unix_ns >= stopped_ns[0]
                elif isinstance(message, Result) and message.status is not Status.PROVISIONAL:
                    rows.append(row(message))
            if len(rows) >= asked.rows or time.monotonic() >= due_s:
                write(asked.folder, rows)
                rows, due_s = [], time.monotonic() + asked.seconds
    write(asked.folder, rows)


if __name__ == "__main__":
    main()
