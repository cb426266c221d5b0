"""The same labelled points in every format that has a place for labels, as bytes."""

from __future__ import annotations

import struct

import numpy as np
from cloud_files import POINTS, las, lzf_literals, npy, npz

LABELS = (np.arange(len(POINTS)) % 3 * 7 + 2).astype(np.int64)


def rows(*columns, separator=" ", header=""):
    table = np.column_stack(columns)
    return (
        header + "\n".join(separator.join(f"{value:.9g}" for value in row) for row in table) + "\n"
    ).encode()


def ply(name="label", kind="uchar", layout="binary_little_endian", points=POINTS, labels=LABELS, extra=()):
    """Labels before the coordinates; `extra` header lines follow the vertex's."""
    codes = {"uchar": "u1", "int": "i4", "float": "f4"}
    header = [
        "ply",
        f"format {layout} 1.0",
        f"element vertex {len(points)}",
        f"property {kind} {name}",
        *(f"property float {axis}" for axis in "xyz"),
        *extra,
        "end_header",
        "",
    ]
    start = "\n".join(header).encode()
    if layout == "ascii":
        return start + rows(labels, points)
    order = "<" if layout == "binary_little_endian" else ">"
    table = np.empty(len(points), [("label", order + codes[kind]), ("xyz", order + "f4", 3)])
    table["label"], table["xyz"] = labels, points
    return start + table.tobytes()


def ply_with_a_list():
    """A list of differing length before the label, so that rows are walked one by one."""
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(POINTS)}",
              *(f"property float {axis}" for axis in "xyz"), "property list uchar short seen",
              "property int part_id", "end_header", ""]  # fmt: skip
    body = b"".join(
        struct.pack(f"<3fB{i % 3}hi", *point, i % 3, *[5] * (i % 3), label)
        for i, (point, label) in enumerate(zip(POINTS.tolist(), LABELS.tolist(), strict=True))
    )
    return "\n".join(header).encode() + body


def pcd(layout="binary"):
    header = (
        f"VERSION .7\nFIELDS x label y z\nSIZE 4 2 4 4\nTYPE F U F F\nCOUNT 1 1 1 1\nWIDTH {len(POINTS)}\n"
        f"HEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {len(POINTS)}\nDATA {layout}\n"
    ).encode()
    x, y, z = POINTS.T
    if layout == "ascii":
        return header + rows(x, LABELS, y, z)
    columns = (x.astype("<f4"), LABELS.astype("<u2"), y.astype("<f4"), z.astype("<f4"))
    if layout == "binary":
        table = np.rec.fromarrays(columns)
        return header + table.tobytes()
    plain = b"".join(column.tobytes() for column in columns)
    packed = lzf_literals(plain)
    return header + struct.pack("<II", len(packed), len(plain)) + packed


def labelled_las(point_format=0, minor=2, flags=0):
    """`flags` go beside the class, into the bits that older formats keep there."""
    content = bytearray(las(POINTS, (0.0, 0.0, 0.0), point_format, minor))
    start, size = 375 if minor == 4 else 227, (20, 28, 26, 34, 57, 63, 30, 36, 38, 59, 67)[point_format] + 2
    for index, label in enumerate(LABELS.tolist()):
        content[start + index * size + (15 if point_format < 6 else 16)] = label | flags
    return bytes(content)


def structured():
    table = np.empty(len(POINTS), [("x", "f4"), ("y", "f4"), ("z", "f4"), ("Part", "i8")])
    table["x"], table["y"], table["z"] = POINTS.T
    table["Part"] = LABELS
    return table


NORMALS = np.tile([0.0, 0.25, -1.0], (len(POINTS), 1))
LABELLED = {
    "bytes.ply": ply(),
    "floats.ply": ply("scalar_Label", "float"),
    "big.ply": ply("segment", "int", "binary_big_endian"),
    "ascii.ply": ply("class", "float", "ascii"),
    "lists.ply": ply_with_a_list(),
    "four.xyz": rows(POINTS, LABELS),
    "seven.txt": rows(POINTS, NORMALS, LABELS),
    "counted.pts": rows(POINTS, LABELS, header=f"{len(POINTS)}\n"),
    "named.csv": rows(LABELS, POINTS, NORMALS, separator=",", header="Part,x,y,z,nx,ny,nz\n"),
    "remark.txt": rows(POINTS, LABELS, NORMALS, header="//X Y Z Classification nx ny nz\n"),
    "ascii.pcd": pcd("ascii"),
    "binary.pcd": pcd(),
    "packed.pcd": pcd("binary_compressed"),
    "old.las": labelled_las(),
    "new.las": labelled_las(6, 4),
    "four.npy": npy(np.column_stack([POINTS, LABELS])),
    "fields.npy": npy(structured()),
    "beside.npz": npz(points=POINTS, labels=LABELS),
    "column.npz": npz(points=POINTS, part=LABELS[:, None].astype(np.uint8)),
    "within.npz": npz(cloud=np.column_stack([POINTS, NORMALS, LABELS])),
}
