"""Archives as people publish them, each by the command of the tool that makes it."""

from __future__ import annotations

from pathlib import Path

# The trees to pack, made once; names are those of directories.
TREES = r"""
mkdir -p plain/bin plain/share/empty plain/.hidden
printf '#!/bin/sh\necho app\n' >plain/bin/app
printf 'secret = 1\n' >plain/app.conf
head -c 70000 /dev/zero | tr '\0' 'x' >plain/share/data
: >plain/.hidden/nothing
chmod 755 plain/bin/app; chmod 640 plain/app.conf; chmod 700 plain/.hidden
ln -s bin/app plain/start
ln plain/share/data plain/share/same

mkdir -p names/'a b' names/日本語 names/-rf
for name in 'ü.txt' 'a b/ c ' '日本語/ファイル' '-rf/--' 'tab	x' 'a\x2db.mount'; do
    printf '%s' "$name" >"names/$name"
done
long=$(printf 'directory-%s/' 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20)
mkdir -p "names/$long"
printf deep >"names/${long}a-name-of-a-file-that-is-long-by-itself"
ln -s "${long}a-name-of-a-file-that-is-long-by-itself" names/link
printf x >"names/$(printf 'n%.0s' $(seq 200))"

mkdir latin; printf x >"$(printf 'latin/f\374r')"

mkdir -p links/lib/real links/Versions/A links/node_modules/.bin links/node_modules/t
printf one >links/lib/real/one
ln -s real links/lib/alias; ln -s lib/alias links/short; ln -s short/one links/nested
ln -s A links/Versions/Current; ln -s Versions/Current links/Current
printf js >links/node_modules/t/cli.js
ln -s ../t/cli.js links/node_modules/.bin/t
ln -s . links/here; ln -s not-there links/dangling; ln -s lib/../lib links/up

mkdir hard; printf shared >hard/a; ln hard/a hard/b; ln -s a hard/link
ln hard/link hard/same-link; mkdir hard/sub; ln hard/a hard/sub/c

mkdir outside; printf x >outside/x; ln -s /var/log/app outside/log
python3 -m venv --symlinks --without-pip venv 2>/dev/null

mkdir modes; for mode in 400 444 600 644 664 666 700 711 755 777 4755 2755; do
    printf x >modes/$mode; chmod $mode modes/$mode
done
mkdir modes/d750 modes/d1777; chmod 750 modes/d750; chmod 1777 modes/d1777

mkdir sparse; printf start >sparse/lock.mdb; cp sparse/lock.mdb sparse/data.mdb
truncate -s 66M sparse/data.mdb; printf end >>sparse/data.mdb
truncate -s 67M sparse/data.mdb; truncate -s 1M sparse/hole

mkdir zeros; head -c 66M /dev/zero >zeros/prealloc.db; printf x >zeros/x

mkdir -p top/app_1.2.3; cp -a plain/. top/app_1.2.3
"""

# `$1` is the archive to make; the trees are in the working directory.
COMPRESSED = {
    "gzip.tar.gz": "tar -czf $1 -C plain .",
    "gzip-1.tgz": "tar -c -C plain . | gzip -1 >$1",
    "gzip-members.tar.gz": (
        "tar -cf t -C plain .; head -c 5000 t | gzip >$1; tail -c +5001 t | gzip >>$1"
    ),
    "gzip-padded.tar.gz": "tar -cz -C plain . >$1; head -c 512 /dev/zero >>$1",
    "bzip2.tar.bz2": "tar -cjf $1 -C plain .",
    "bzip2-streams.tbz2": (
        "tar -cf t -C plain .; head -c 5000 t | bzip2 >$1; tail -c +5001 t | bzip2 >>$1"
    ),
    "xz.tar.xz": "tar -cJf $1 -C plain .",
    "xz-blocks.txz": "tar -c -C plain . | xz -T2 --block-size=4096 >$1",
    "xz-9e.tar.xz": "tar -c -C plain . | xz -9e >$1",
    "zstd.tar.zst": "tar --zstd -cf $1 -C plain .",
    "zstd-19.tzst": "tar -c -C plain . | zstd -q -19 >$1",
    "zstd-long.tar.zst": "tar -c -C plain . | zstd -q --long=27 >$1",
    "zstd-frames.tar.zst": (
        "tar -cf t -C plain .; head -c 5000 t | zstd -q >$1;"
        " printf '\\x50\\x2a\\x4d\\x18\\x03\\0\\0\\0abc' >>$1;"
        " tail -c +5001 t | zstd -q >>$1"
    ),
}
GNU = {
    "v7.tar": "tar --format=v7 -cf $1 plain",
    "oldgnu.tar": "tar --format=oldgnu -cf $1 plain",
    "gnu.tar": "tar --format=gnu -cf $1 plain",
    "ustar.tar": "tar --format=ustar -cf $1 plain",
    "posix.tar": "tar --format=posix -cf $1 plain",
    "names-gnu.tar.gz": "tar --format=gnu -czf $1 names",
    "names-posix.tar.gz": "tar --format=posix -czf $1 names",
    "latin-gnu.tar": "tar --format=gnu -cf $1 latin",
    "latin-posix.tar": "tar --format=posix -cf $1 latin",
    "links-gnu.tar.gz": "tar --format=gnu -czf $1 links",
    "links-posix.tar.xz": "tar --format=posix -cJf $1 links",
    "links-followed.tar": "tar -chf $1 --exclude=here --exclude=dangling links",
    "hard.tar.gz": "tar -czf $1 hard",
    "hard-copied.tar.gz": "tar --hard-dereference -czf $1 hard",
    "modes.tar.gz": "tar -czf $1 modes",
    "absolute-names.tar": "tar -P -cf $1 $PWD/plain 2>/dev/null",
    "small-records.tar": "tar -b 1 -cf $1 plain",
    "large-records.tar": "tar -b 2048 -cf $1 plain",
    "appended.tar": "tar -cf $1 plain; tar -rf $1 names; tar -rf $1 plain",
    "reproducible.tar.gz": (
        "tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -c plain"
        " | gzip -n >$1"
    ),
    "global-header.tar": "tar --format=posix --pax-option=comment=x -cf $1 plain",
    "xattrs.tar": "tar --xattrs --acls --selinux -cf $1 plain",
    "label-gnu.tar": "tar --format=gnu -V 'app 1.2' -cf $1 plain",
    "label-posix.tar.gz": "tar --format=posix -V 'app 1.2' -czf $1 plain",
    "incremental-gnu.tar.gz": "tar --format=gnu -g s1 -czf $1 links",
    "incremental-posix.tar.gz": "tar --format=posix -g s2 -czf $1 links",
    "sparse-gnu.tar": "tar --format=gnu -S -cf $1 sparse",
    "sparse-oldgnu.tar.gz": "tar --format=oldgnu -S -czf $1 sparse",
    "sparse-0.0.tar": "tar --format=posix --sparse-version=0.0 -S -cf $1 sparse",
    "sparse-0.1.tar": "tar --format=posix --sparse-version=0.1 -S -cf $1 sparse",
    "sparse-1.0.tar.gz": "tar --format=posix --sparse-version=1.0 -S -czf $1 sparse",
    "zeros.tar.gz": "tar -c zeros | gzip -1 >$1",
    "zeros.tar.zst": "tar --zstd -cf $1 zeros",
    "no-end-mark.tar.gz": "tar -b 1 -c plain | head -c -1024 | gzip >$1",
    "one-end-block.tar": "tar -b 1 -c plain | head -c -512 >$1",
    "used-buffer.tar": "tar -c plain >$1; head -c 300 plain/share/data >>$1",
    "venv.tar.gz": "tar -czf $1 venv",
    "log.tar.gz": "tar -czf $1 outside",
}
BSD = {
    "bsd-pax.tar.gz": "bsdtar -czf $1 names",
    "bsd-ustar.tar": "bsdtar --format=ustar -cf $1 plain",
    "bsd-gnutar.tar.bz2": "bsdtar --format=gnutar -cjf $1 names",
    "bsd-v7.tar": "bsdtar --format=v7 -cf $1 plain",
    "bsd-pax-all.tar.xz": "bsdtar --format=pax -cJf $1 links",
    "bsd-zstd.tar.zst": "bsdtar --zstd -cf $1 hard",
    "bsd-sparse.tar": "bsdtar --read-sparse -cf $1 sparse",
    "bsd.zip": "bsdtar --format=zip -cf $1 plain",
    "bsd-names.zip": "bsdtar --format=zip -cf $1 names",
}
ZIP = {
    "zip.zip": "zip -qr $1 plain",
    "zip-links.zip": "zip -qry $1 links",
    "zip-stored.zip": "zip -qr0 $1 plain",
    "zip-9.zip": "zip -qr9 $1 plain",
    "zip-names.zip": "zip -qry $1 names",
    "zip-modes.zip": "zip -qr $1 modes",
    "zip-no-directories.zip": "zip -qrD $1 plain",
    "zip-bzip2.zip": "zip -qr -Z bzip2 $1 plain",
    "zip-comment.zip": "zip -qr $1 plain; echo 'made by hand' | zip -qz $1",
    "zip-64.zip": "zip -qr -fz $1 plain",
    "zip-streamed.zip": "zip -qr - plain | cat >$1",
    "zip-byte-after.zip": "zip -qr $1 plain; printf x >>$1",
    "zip-newline-after.zip": "zip -qr $1 plain; printf '\\r\\n' >>$1",
    "zip-self-extracting.zip": (
        "zip -qr t.zip plain; { echo '#!/bin/sh'; cat t.zip; } >$1"
    ),
    "zip-zeros.zip": "zip -qr1 $1 zeros",
    "zip-venv.zip": "zip -qry $1 venv",
    "zip-log.zip": "zip -qry $1 outside",
}
PYTHON = {
    "shutil.zip": "python3 -m shutil_ zip $1 plain",
    "shutil.tar.gz": "python3 -m shutil_ gztar $1 plain",
    "shutil.tar.xz": "python3 -m shutil_ xztar $1 plain",
    "windows.zip": "python3 -m windows / $1 plain",
    "windows-backslashes.zip": "python3 -m windows '\\' $1 plain",
    "windows-names.zip": "python3 -m windows / $1 names/日本語",
}
GIT = {
    "git.tar.gz": "git -C repository archive --prefix=app-1.2/ -o $1 HEAD",
    "git.zip": "git -C repository archive --prefix=app-1.2/ -o $1 HEAD",
}
RECIPES = {**COMPRESSED, **GNU, **BSD, **ZIP, **PYTHON, **GIT}

# Small programs that the recipes call, by the names of their modules.
PROGRAMS = {
    "shutil_": """
import os, shutil, sys
kind, to, tree = sys.argv[1:]
os.rename(shutil.make_archive("made", kind, tree), to)
""",
    # As Windows makes them: no modes, and with some tools backslashes.
    "windows": r"""
import struct, sys, zipfile, zlib
from pathlib import Path
separator, to, tree = sys.argv[1:]
with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
    for path in sorted(Path(tree).rglob("*")):
        if path.is_file():
            info = zipfile.ZipInfo()
            info.filename = str(path).replace("/", separator)
            info.create_system = 0
            info.external_attr = 0x20
            if not info.filename.isascii():
                # As Info-ZIP there: the name in the old encoding, and the real one.
                name = info.filename.encode()
                info.filename = info.filename.encode("ascii", "replace").decode()
                old = info.filename.encode()
                field = struct.pack("<BL", 1, zlib.crc32(old)) + name
                info.extra = struct.pack("<HH", 0x7075, len(field)) + field
            archive.writestr(info, path.read_bytes())
""",
}
REPOSITORY = """
git init -q repository
cp -a plain/. repository
git -C repository add -A
git -C repository -c user.name=a -c user.email=a@b.c commit -qm x
"""


def tool_of(name: str) -> str:
    """The program that makes the archive *name*."""
    if name in BSD:
        return "bsdtar"
    return "zip" if name in ZIP else "git" if name in GIT else "tar"


def unpacking(archive: Path, into: Path) -> list[str]:
    """The command by which anybody unpacks *archive*."""
    if archive.suffix == ".zip":
        return ["unzip", "-qq^", str(archive), "-d", str(into)]
    options = ["--no-same-owner", "--no-same-permissions", "--warning=none"]
    return ["tar", *options, "-xf", str(archive), "-C", str(into)]
