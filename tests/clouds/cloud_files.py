"""Small valid files of every format, as bytes, for the tests to write, cut and change."""

from __future__ import annotations

import base64
import io
import json
import struct

import numpy as np

POINTS = np.random.default_rng(7).uniform(-1, 1, (60, 3)).astype(np.float32)
CUBE = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float32)
# Two triangles per side, wound in any direction.
CUBE_TRIANGLES = [
    [0, 1, 3], [0, 3, 2], [4, 5, 7], [4, 7, 6], [0, 1, 5], [0, 5, 4],
    [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 3, 7], [1, 7, 5],
]  # fmt: skip


def text(points=POINTS, separator=" ", newline="\n", header=""):
    rows = [separator.join(f"{value:.6f}" for value in point) for point in np.asarray(points).tolist()]
    return (header + newline.join(rows) + newline).encode()


def ply(points=POINTS, layout="binary_little_endian", kind="f4", newline="\n", faces=()):
    order = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}[layout]
    name = {"f4": "float", "f8": "double"}[kind]
    header = ["ply", f"format {layout} 1.0", "comment made by a test", f"element vertex {len(points)}"]
    header += [f"property {name} {axis}" for axis in "xyz"]
    if len(faces):
        header += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    start = newline.join([*header, "end_header", ""]).encode()
    if layout == "ascii":
        rows = [" ".join(str(value) for value in point) for point in np.asarray(points, kind).tolist()]
        rows += [" ".join(map(str, [len(face), *face])) for face in faces]
        return start + (newline.join(rows) + newline).encode()
    body = np.asarray(points).astype(order + kind).tobytes()
    for face in faces:
        body += struct.pack(f"{order}B{len(face)}i", len(face), *face)
    return start + body


def ply_with_lists_everywhere(order="<"):
    """An element before the vertices, lists of differing length among their properties, z before x."""
    layout = {"<": "binary_little_endian", ">": "binary_big_endian", "": "ascii"}[order]
    lines = ["ply", f"format {layout} 1.0", "obj_info odd", "element camera 2", "property float view",
             "property list uchar short ids", f"element vertex {len(POINTS)}", "property double z",
             "property list uchar float weights", "property float x", "property uchar red",
             "property list ushort int tags", "property float y", "element edge 1", "property int a",
             "end_header", ""]  # fmt: skip
    body = b""
    rows = ["1.5 2 7 8", "2.5 0"]
    if order:
        body = struct.pack(order + "fBhh", 1.5, 2, 7, 8) + struct.pack(order + "fB", 2.5, 0)
    for index, (x, y, z) in enumerate(POINTS.tolist()):
        weights, tags = [0.5] * (index % 3), [index] * (index % 2)
        rows.append(" ".join(map(str, [z, len(weights), *weights, x, 9, len(tags), *tags, y])))
        if order:
            body += struct.pack(f"{order}dB{len(weights)}ffBH{len(tags)}if", z, len(weights), *weights, x, 9,
                                len(tags), *tags, y)  # fmt: skip
    return "\n".join(lines).encode() + (
        body + struct.pack(order + "i", 0) if order else "\n".join([*rows, "0", ""]).encode()
    )


def lzf_literals(data):
    """LZF without any back reference."""
    return b"".join(bytes([len(data[i : i + 32]) - 1]) + data[i : i + 32] for i in range(0, len(data), 32))


def pcd(points=POINTS, layout="binary", width=None, height=1):
    points = np.asarray(points, np.float32)
    header = (
        "# .PCD v.7 - Point Cloud Data file format\nVERSION .7\nFIELDS intensity z y x\nSIZE 1 4 4 4\n"
        f"TYPE U F F F\nCOUNT 3 1 1 1\nWIDTH {width or len(points)}\nHEIGHT {height}\n"
        f"VIEWPOINT 0 0 0 1 0 0 0\nPOINTS {len(points)}\nDATA {layout}\n"
    ).encode()
    if layout == "ascii":
        rows = (f"1 2 3 {z} {y} {x}\n" for x, y, z in points.tolist())
        return header + "".join(rows).encode()
    if layout == "binary":
        return header + b"".join(b"\1\2\3" + point[::-1].tobytes() for point in points)
    columns = b"\1\2\3" * len(points) + b"".join(points[:, axis].tobytes() for axis in (2, 1, 0))
    packed = lzf_literals(columns)
    return header + struct.pack("<II", len(packed), len(columns)) + packed


def las(points=POINTS, offset=(200_000.0, 5_000_000.0, 100.0), point_format=0, minor=2):
    sizes = (20, 28, 26, 34, 57, 63, 30, 36, 38, 59, 67)
    start = 375 if minor == 4 else 227
    header = bytearray(start)
    header[:4] = b"LASF"
    header[24:26] = bytes([1, minor])
    size = sizes[point_format] + 2  # two extra bytes
    struct.pack_into(
        "<HIIBHI", header, 94, start, start, 0, point_format, size, 0 if minor == 4 else len(points)
    )
    struct.pack_into("<6d", header, 131, 0.001, 0.001, 0.001, *offset)
    if minor == 4:
        struct.pack_into("<Q", header, 247, len(points))
    integers = np.round(np.asarray(points, np.float64) * 1000).astype("<i4")
    return bytes(header) + b"".join(row.tobytes() + bytes(size - 12) for row in integers)


def npy(array=POINTS):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(**arrays):
    stream = io.BytesIO()
    np.savez_compressed(stream, **(arrays or {"points": POINTS, "labels": np.arange(len(POINTS))}))
    return stream.getvalue()


def off(keyword="OFF\n"):
    rows = [" ".join(map(str, point)) for point in CUBE.tolist()]
    rows += [f"4 {' '.join(map(str, face))}" for face in ([0, 1, 3, 2], [4, 5, 7, 6])]
    return f"{keyword}8 2 0\n{chr(10).join(rows)}\n".encode()


def obj():
    rows = [f"v {x} {y} {z}" for x, y, z in CUBE.tolist()]
    rows += ["g side", "f 1/1 2/2 4/3 3/4", "f -4//-1 -3 -1 -2"]
    return ("\n".join(rows) + "\n").encode()


def stl_binary():
    rows = [struct.pack("<12fH", 0, 0, 0, *CUBE[triangle].ravel(), 0) for triangle in CUBE_TRIANGLES]
    return b"solid of a liar".ljust(80) + struct.pack("<I", len(rows)) + b"".join(rows)


def stl_ascii():
    solids = ""
    for name in ("one", "two"):
        facets = ""
        for triangle in CUBE_TRIANGLES:
            corners = "".join(f"      vertex {x} {y} {z}\n" for x, y, z in CUBE[triangle].tolist())
            facets += f"  facet normal 0 0 0\n    outer loop\n{corners}    endloop\n  endfacet\n"
        solids += f"solid {name}\n{facets}endsolid {name}\n"
    return solids.encode()


CUBE_BYTES = CUBE.tobytes() + np.array(CUBE_TRIANGLES, "<u2").tobytes()


def glb(change=None):
    """A cube, twice as large and moved by 10 along x; `change` may edit the document."""
    binary = CUBE_BYTES
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"children": [1], "translation": [10, 0, 0]}, {"mesh": 0, "scale": [2, 2, 2]}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 8, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 36, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": 96},
            {"buffer": 0, "byteOffset": 96, "byteLength": 72},
        ],
        "buffers": [{"byteLength": len(binary)}],
    }
    if change:
        change(document)
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    binary += bytes(-len(binary) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
    chunks += struct.pack("<II", len(binary), 0x004E4942) + binary
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks


def embedded(data):
    return "data:application/octet-stream;base64," + base64.b64encode(data).decode()


def gltf(change=None):
    """The cube of `glb` as a .gltf with embedded data; `change` may edit the document."""
    content = glb(change)
    length = struct.unpack("<I", content[12:16])[0]
    document = json.loads(content[20 : 20 + length])
    for buffer in document["buffers"]:
        buffer.setdefault("uri", embedded(CUBE_BYTES))
    return json.dumps(document).encode()


VALID = {
    "points.xyz": text(),
    "points.csv": text(separator=",", header="id,x,y,z\n").replace(b"\n", b"\n1,").removesuffix(b"1,"),
    "points.pts": text(header="60\n"),
    "ascii.ply": ply(layout="ascii"),
    "little.ply": ply(),
    "big.ply": ply(layout="binary_big_endian", kind="f8"),
    "lists.ply": ply_with_lists_everywhere(),
    "lists_ascii.ply": ply_with_lists_everywhere(""),
    "mesh.ply": ply(CUBE, faces=[*CUBE_TRIANGLES, [0, 1, 3, 2]]),
    "mesh_ascii.ply": ply(CUBE, "ascii", faces=CUBE_TRIANGLES),
    "ascii.pcd": pcd(layout="ascii"),
    "binary.pcd": pcd(),
    "compressed.pcd": pcd(layout="binary_compressed"),
    "points.las": las(),
    "points.npy": npy(),
    "points.npz": npz(),
    "mesh.off": off(),
    "mesh.obj": obj(),
    "binary.stl": stl_binary(),
    "ascii.stl": stl_ascii(),
    "mesh.glb": glb(),
    "mesh.gltf": gltf(),
}
