"""Extensions of files by format: which files of a directory are read."""

ARROW_EXTENSIONS = ("arrow", "arrows", "feather", "ipc")
AUDIO_EXTENSIONS = ("wav", "flac", "mp3", "ogg", "aiff", "aif", "au", "opus")
AVRO_EXTENSIONS = ("avro",)
CSV_EXTENSIONS = ("csv", "csv.gz", "csv.br", "csv.zst", "csv.lz4", "csv.bz2")
IMAGE_EXTENSIONS = ("png", "jpg", "jpeg", "tif", "tiff", "bmp", "gif", "webp")
JSON_EXTENSIONS = tuple(
    f"{kind}{packed}" for kind in ("json", "jsonl", "ndjson") for packed in ("", ".gz", ".br", ".zst", ".lz4", ".bz2")
)
NUMPY_EXTENSIONS = ("npy", "npz")
ORC_EXTENSIONS = ("orc",)
PARQUET_EXTENSIONS = ("parquet",)
TFRECORD_EXTENSIONS = ("tfrecords", "tfrecord")
VIDEO_EXTENSIONS = ("mp4", "mkv", "mov", "avi", "webm", "m4v", "mpeg", "mpg")
WEBDATASET_EXTENSIONS = ("tar",)
