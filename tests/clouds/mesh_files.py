"""An odd glTF scene, and small FBX files as bytes, for the tests to write, cut and change."""

from __future__ import annotations

import json
import struct
import zlib

import numpy as np


def odd_scene(document):
    """One mesh shown twice (once mirrored), a strip, a fan, points, interleaved and unindexed vertices."""
    document["nodes"][0]["rotation"] = [0.5, 0.5, -0.5, 0.5]
    document["nodes"][0]["children"] += [2, 3]
    mirrored = [-1, 0, 0, 0, 0, 3, 0, 0, 0, 0, 1, 0, 1, 2, 3, 1]
    document["nodes"] += [{"mesh": 0, "matrix": mirrored}, {"mesh": 1, "translation": [0, 9, 0]}]
    position, part = {"POSITION": 0}, {"POSITION": 2}
    document["meshes"].append(
        {
            "primitives": [
                {"attributes": position, "mode": 5, "indices": 1},
                {"attributes": position, "mode": 6},
                {"attributes": position, "mode": 0},
                {"attributes": part},
            ]
        }
    )
    document["accessors"].append({"bufferView": 2, "componentType": 5126, "count": 4, "type": "VEC3"})
    document["bufferViews"].append({"buffer": 0, "byteOffset": 0, "byteLength": 84, "byteStride": 24})


def fbx(*meshes, binary=False):
    """ASCII or binary FBX with these meshes (vertices, indices), number i moved by 10 i along x."""

    def number_list(name, kind, values):
        return (name, [(kind, values)], [])

    objects, links = [], []
    for index, (vertices, indices) in enumerate(meshes):
        data = [
            number_list("Vertices", "d", np.ravel(vertices)),
            number_list("PolygonVertexIndex", "i", indices),
        ]
        names = (
            "\0\1".join(pair) if binary else "::".join(reversed(pair))
            for pair in [("", "Geometry"), ("m", "Model")]
        )
        first, second = names
        objects.append(("Geometry", [("L", 100 + index), ("S", first), ("S", "Mesh")], data))
        move = ["Lcl Translation", "Lcl Translation", "", "A", 10.0 * index, 0.0, 0.0]
        values = [("S", value) if isinstance(value, str) else ("D", value) for value in move]
        properties = ("Properties70", [], [("P", values, [])])
        objects.append(("Model", [("L", 200 + index), ("S", second), ("S", "Mesh")], [properties]))
        links += [("C", [("S", "OO"), ("L", 200 + index), ("L", 0)], []),
                  ("C", [("S", "OO"), ("L", 100 + index), ("L", 200 + index)], [])]  # fmt: skip
    version = ("FBXHeaderExtension", [], [("FBXVersion", [("I", 7300)], [])])
    nodes = [version, ("Objects", [], objects), ("Connections", [], links)]
    if not binary:
        return ("; FBX 7.3.0 project file\n" + "".join(map(fbx_text, nodes))).encode()
    content = b"Kaydara FBX Binary  \0\x1a\0" + struct.pack("<I", 7300)
    for node in nodes:
        content += fbx_record(node, len(content))
    return content + bytes(13)


def fbx_text(node):
    name, properties, children = node
    if name in ("Vertices", "PolygonVertexIndex"):
        values = properties[0][1]
        return f"{name}: *{len(values)} {{\n a: {','.join(map(str, values))}\n}}\n"
    shown = ", ".join(json.dumps(value) for _, value in properties)
    return f"{name}: {shown} {{\n{''.join(map(fbx_text, children))}}}\n" if children else f"{name}: {shown}\n"


def fbx_record(node, start):
    name, properties, children = node
    body = b""
    for kind, value in properties:
        body += kind.encode()
        if kind in "di":
            packed = zlib.compress(np.asarray(value, "<f8" if kind == "d" else "<i4").tobytes())
            body += struct.pack("<III", len(value), 1, len(packed)) + packed
        elif kind == "S":
            body += struct.pack("<I", len(value)) + value.encode()
        else:
            body += struct.pack({"I": "<i", "L": "<q", "D": "<d"}[kind], value)
    size = len(body)
    body = bytes([len(name)]) + name.encode() + body
    for child in children:
        body += fbx_record(child, start + 12 + len(body))
    body += bytes(13) if children else b""
    return struct.pack("<III", start + 12 + len(body), len(properties), size) + body


QUADS = [0, 1, 3, -3, 4, 5, 7, -7, 0, 1, -6]  # two squares and a triangle
