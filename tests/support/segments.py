"""The files of a topic on disk, as libshmbus/layout/segment.hpp says: where which bytes are."""

import shutil
import struct

HEADER, TWIN = 4096, 2048  # where frames begin, and where the second copy of a header is
HEADER_BYTES = 128  # of each copy
HEAD = struct.Struct("<QQQIBBH")  # checksums, sequence, length, kind, -, bytes of head and fixed part
EVENT, TOMBSTONE, SYNC_POINT, FOOTER = 1, 2, 3, 4
PAYLOAD_LENGTH = HEAD.size + 8  # where an event's frame says how long the payload is


class Frame:
    def __init__(self, data, offset):
        self.offset = offset
        _, _, self.sequence, self.length, self.kind, _, self.head_bytes = HEAD.unpack_from(data, offset)
        self.payload = offset + self.head_bytes
        # What is behind it up to the frame's end is padding, which nobody looks at.
        self.used_end = self.end if self.kind != EVENT else (
            self.payload + struct.unpack_from("<I", data, offset + PAYLOAD_LENGTH)[0])

    @property
    def end(self):
        return self.offset + self.length


def frames_of(data):
    offset, frames = HEADER, []
    while offset + HEAD.size <= len(data) and Frame(data, offset).length:
        frames.append(Frame(data, offset))
        offset = frames[-1].end
    return frames


class Copy:
    """A copy of a topic's directory, to be damaged."""

    def __init__(self, source, directory):
        shutil.copytree(source, directory)
        self.directory = directory
        self.files = sorted(directory.glob("*.seg"))
        self.firsts = [int(file.stem) for file in self.files]

    def frames(self, file):
        return frames_of(file.read_bytes())

    def find(self, sequence):
        """The file and frame of an event."""
        file = self.files[max(i for i, first in enumerate(self.firsts) if first <= sequence)]
        return file, next(frame for frame in self.frames(file)
                          if (frame.kind, frame.sequence) == (EVENT, sequence))

    def flip(self, file, *offsets):
        data = bytearray(file.read_bytes())
        for offset in offsets:
            data[offset] ^= 0x10
        file.write_bytes(data)

    def flip_payload(self, sequence):
        file, frame = self.find(sequence)
        self.flip(file, frame.payload)

    def flip_head(self, sequence, field):
        file, frame = self.find(sequence)
        self.flip(file, frame.offset + field)
