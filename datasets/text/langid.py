#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# langid.py [FOLDER] - makes langid.safetensors, without loss, out of the plain tables of FOLDER/langid.safetensors ($ACE_DATA)
#
# Plain: next_state [S, 256], out_offset [S + 1], out_feature, log_ptc [F, C], log_pc [C]; metadata "classes".
# Ours: the automaton is that of Aho and Corasick, so its trie tells all: states in order of depth, each with its parent and
# the byte that leads to it, and for each feature the state whose own it is. Of log_ptc, a class has few different values:
# they are listed, and a feature names one by its place in the list, in one byte or, where a class has more than 256, in two.
import array, collections, json, os, pathlib, struct, sys


def read(path):
    raw = path.read_bytes()
    n = struct.unpack("<Q", raw[:8])[0]
    header, data = json.loads(raw[8:8 + n]), raw[8 + n:]
    code = {"U16": "H", "I32": "i", "F32": "f"}
    table = {}
    for name, t in header.items():
        if name != "__metadata__":
            a = array.array(code[t["dtype"]])
            a.frombytes(data[slice(*t["data_offsets"])])
            table[name] = a
    return table, header["__metadata__"]


def trie(step):
    """States in order of depth (old numbers), and of each but the first the parent's new number and the byte."""
    order, number, parent, byte = [0], {0: 0}, [], []
    for old in order:
        for c in range(256):
            to = step[old * 256 + c]
            if to not in number:
                number[to] = len(order)
                order.append(to)
                parent.append(number[old])
                byte.append(c)
    return order, number, parent, byte


def falls(order, number, parent, byte, step):
    """The state of the longest proper suffix, by which the automaton is checked to be what its trie says."""
    fall, row, children = [0] * len(order), [None] * len(order), collections.defaultdict(list)
    for s, (p, c) in enumerate(zip(parent, byte), 1):
        children[p].append((c, s))
    for s in range(len(order)):
        row[s] = list(row[fall[s]]) if s else [0] * 256
        for c, to in children[s]:
            fall[to] = row[fall[s]][c] if s else 0
            row[s][c] = to
        if row[s] != [number[step[order[s] * 256 + c]] for c in range(256)]:
            sys.exit(f"state {order[s]}: not what its trie says")
    return fall


def owners(table, order, fall, features):
    lists = [list(table["out_feature"][table["out_offset"][s]:table["out_offset"][s + 1]]) for s in order]
    owner = [None] * features
    for s in range(1, len(order)):
        own = set(lists[s]) - set(lists[fall[s]])
        if len(lists[s]) != len(own) + len(lists[fall[s]]):
            sys.exit(f"state {order[s]}: its features are not those of its suffix and its own")
        for f in own:
            if owner[f] is not None:
                sys.exit(f"feature {f} belongs to two states")
            owner[f] = s
    if lists[0] or None in owner:
        sys.exit("a feature that no state owns")
    return owner


def main():
    table, meta = read(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else os.environ["ACE_DATA"]) / "langid.safetensors")
    classes = len(table["log_pc"])
    features = len(table["log_ptc"]) // classes
    order, number, parent, byte = trie(table["next_state"])
    if len(order) * 256 != len(table["next_state"]):
        sys.exit("states that nothing leads to")
    owner = owners(table, order, falls(order, number, parent, byte, table["next_state"]), features)
    level, levels, low, high = array.array("f"), [], bytearray(), bytearray()
    for c in range(classes):
        column = table["log_ptc"][c::classes]
        names = {v: i for i, v in enumerate(sorted(set(column)))}
        level.extend(names)
        levels.append(len(names))
        low += bytes(names[v] & 255 for v in column)
        if len(names) > 256:
            high += bytes(names[v] >> 8 for v in column)
    out = [
        ("level", "F32", [len(level)], level.tobytes()),
        ("log_pc", "F32", [classes], table["log_pc"].tobytes()),
        ("levels", "U16", [classes], array.array("H", levels).tobytes()),
        ("owner", "U16", [features], array.array("H", owner).tobytes()),
        ("parent", "U16", [len(parent)], array.array("H", parent).tobytes()),
        ("byte", "U8", [len(byte)], bytes(byte)),
        ("high", "U8", [len(high) // features, features], bytes(high)),
        ("low", "U8", [classes, features], bytes(low)),
    ]
    keep = {k: meta[k] for k in ("classes", "licence", "source")}
    header, at = {"__metadata__": keep | {"format": "ace langid 1"}}, 0
    for name, dtype, shape, data in out:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path = pathlib.Path(__file__).with_name("langid.safetensors")
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(d for *_, d in out))


main()
