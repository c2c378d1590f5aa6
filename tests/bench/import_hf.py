# SPDX-License-Identifier: Apache-2.0
"""ace-import-hf beside a Python script with `datasets`: the same files from the same set, on one core.

usage: python tests/bench/import_hf.py PATH/TO/ace-import-hf FOLDER [ROWS]

FOLDER is made, with a set of ROWS (2000) clips of 100 to 200 kB inside, saved to disk and as Parquet, and removed again: on a
disk 15 times 300 MB are wanted. Each way runs five times in turn, pinned to one core, and ends when all is on the disk; the
medians of the time on the clock and of the processor, and the peak memory, are printed. Parquet is read by Python in two ways:
load_dataset, which makes an Arrow file of it first (each time: it is a set that is seen for the first time), and with
streaming=True, which does not. Wants pyarrow and datasets. Sound is not decoded in any. In memory (tmpfs) what a run wrote is
removed before the next, so that pages are used again; on a disk at the end: for minutes after files were removed ext4 looks long
for a free inode.
"""
import json, os, random, resource, shutil, statistics, subprocess, sys, time

PYTHON = r'''
import ctypes, os, sys
from datasets import load_from_disk, load_dataset, Audio
source, to, streaming = sys.argv[1:]
rows = (load_from_disk(source) if os.path.isdir(source)
        else load_dataset("parquet", data_files=source, split="train", streaming=streaming == "streaming"))
rows = rows.cast_column("audio", Audio(decode=False))
os.makedirs(to)
for i, row in enumerate(rows):
    name = os.path.join(to, "%06d-%s" % (i, row["keys"]))
    end = os.path.splitext(row["audio"]["path"])[1]
    with open(name + ".txt", "w") as f:
        f.write((", ".join(row["tags"]) or "music") + "\n")
    if row["norm_lyrics"]:
        with open(name + ".lyrics", "w") as f:
            f.write(row["norm_lyrics"])
    with open(name + end, "wb") as f:
        f.write(row["audio"]["bytes"])
ctypes.CDLL(None).syncfs(os.open(to, os.O_RDONLY))
'''


def make(folder, rows):
    import pyarrow as pa, pyarrow.ipc as ipc, pyarrow.parquet as pq
    text = {"dtype": "string", "_type": "Value"}
    features = {"keys": text, "audio": {"_type": "Audio"}, "tags": {"feature": text, "_type": "List"}, "norm_lyrics": text}
    schema = pa.schema([("keys", pa.string()), ("audio", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
                        ("tags", pa.list_(pa.string())), ("norm_lyrics", pa.string())],
                       metadata={"huggingface": json.dumps({"info": {"features": features}})})
    draw = random.Random(1)
    saved = os.path.join(folder, "saved")
    os.makedirs(saved)
    stream = ipc.new_stream(os.path.join(saved, "data-00000-of-00001.arrow"), schema)
    parquet = pq.ParquetWriter(os.path.join(folder, "set.parquet"), schema, compression="snappy")
    for start in range(0, rows, 100):
        part = range(start, min(start + 100, rows))
        batch = pa.record_batch([
            ["song_%d" % i for i in part],
            [{"bytes": b"RIFF" + draw.randbytes(draw.randint(100000, 200000)), "path": "song_%d.wav" % i} for i in part],
            [["rap", "hard drums", str(i)] for i in part],
            ["[verse]\n" + "rain on the roof\n" * 20 for i in part]], schema=schema)
        stream.write_batch(batch)
        parquet.write_table(pa.Table.from_batches([batch]))
    stream.close()
    parquet.close()
    json.dump({"features": features}, open(os.path.join(saved, "dataset_info.json"), "w"))
    json.dump({"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_fingerprint": "0" * 16, "_format_columns": None,
               "_format_kwargs": {}, "_format_type": None, "_output_all_columns": False, "_split": None},
              open(os.path.join(saved, "state.json"), "w"))


def run(command, home):
    os.sync()
    start = time.monotonic()
    child = subprocess.Popen(["taskset", "-c", "0"] + command, stderr=subprocess.DEVNULL,
                             env=dict(os.environ, HF_HUB_OFFLINE="1", HF_HOME=home))
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit("%s: ended with %d" % (command[0], status))
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def same(a, b):
    names = sorted(os.listdir(b))
    for n in names:
        if open(os.path.join(a, n), "rb").read() != open(os.path.join(b, n), "rb").read():
            sys.exit("%s differs" % n)
    return len(names)


def main():
    program, folder = sys.argv[1], os.path.abspath(sys.argv[2])
    rows = int(sys.argv[3]) if len(sys.argv) > 3 else 2000
    os.makedirs(folder)
    in_memory = subprocess.check_output(["stat", "-f", "-c", "%T", folder], text=True).strip() == "tmpfs"
    try:
        # in a process of its own: the peak of one that is forked counts for its children
        subprocess.run([sys.executable, sys.argv[0], "make", folder, str(rows)], check=True)
        script = os.path.join(folder, "script.py")
        open(script, "w").write(PYTHON)
        for name, source, ways in (("saved to disk", "saved", ["load_from_disk"]),
                                   ("Parquet", "set.parquet", ["load_dataset", "streaming"])):
            got, files = {}, 0
            for i in range(5):
                for way in ["ace-import-hf"] + ways:
                    to = os.path.join(folder, "%s-%s-%d" % (source, way, i))
                    os.makedirs(to + "-home")
                    command = ([program, os.path.join(folder, source), to, "progress=none"] if way == "ace-import-hf" else
                               [sys.executable, script, os.path.join(folder, source), to, way])
                    got.setdefault(way, []).append(run(command, to + "-home"))
                    if way != "ace-import-hf":
                        files = same(os.path.join(folder, "%s-ace-import-hf-%d" % (source, i)), to)
                    if in_memory and way != "ace-import-hf":
                        shutil.rmtree(to)
                    if in_memory:
                        shutil.rmtree(to + "-home")
                if in_memory:
                    shutil.rmtree(os.path.join(folder, "%s-ace-import-hf-%d" % (source, i)))
            load = "%.1f" % os.getloadavg()[0]
            print("%s, %d rows, %d files, load %s" % (name, rows, files, load))
            middle = {k: [statistics.median(x[i] for x in v) for i in range(3)] for k, v in got.items()}
            ours = middle["ace-import-hf"]
            for way, (wall, cpu, memory) in middle.items():
                print("  %-15s %.2f s, %.2f s of the processor, %.0f MiB%s" % (way, wall, cpu, memory, "" if way == "ace-import-hf" else
                      ": %.1fx by the clock, %.1fx by the processor" % (wall / ours[0], cpu / ours[1])), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if sys.argv[1] == "make":
    make(sys.argv[2], int(sys.argv[3]))
else:
    main()
