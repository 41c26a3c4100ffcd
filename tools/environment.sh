# Sourced by tools/check and tools/quickstart: a virtual environment with this project in it.

# make_environment FOLDER REQUIREMENT: makes FOLDER unless it is there and as pyproject.toml says.
make_environment() {
    local folder=$1 requirement=$2 python
    if [ -x "$folder/bin/python" ] && cmp -s pyproject.toml "$folder/installed-from.toml"; then
        return
    fi
    python=$(find_python)
    echo "making $folder with $("$python" --version)" >&2
    if ! "$python" -m venv --clear "$folder"; then
        echo "error: $python cannot make a virtual environment" >&2
        echo "hint: on Debian and Ubuntu: apt-get install python3-venv" >&2
        exit 1
    fi
    case $requirement in *clients*) install_plain_torch "$folder" ;; esac
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$requirement"
    cp pyproject.toml "$folder/installed-from.toml"
}

# install_plain_torch FOLDER: the torch of PyPI brings CUDA along on Linux, gigabytes that no test
# needs. A wheel without it in a folder that pip's setting find-links names is taken instead.
install_plain_torch() {
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps torch \
        2>/dev/null || true
}

# install_node_servers FOLDER: puts servers that are in no wheel into an environment with a node.
install_node_servers() {
    local name
    for name in azurite fauxqs s3rver; do
        if [ ! -x "$1/node_modules/.bin/$name" ]; then
            PATH="$PWD/$1/bin:$PATH" npm install --prefix "$1" --no-audit --no-fund --loglevel=error \
                "$name" >&2
        fi
    done
}

find_python() {
    local name
    for name in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "error: no Python 3.11 or newer was found" >&2
    echo "hint: install one, or name it: PYTHON=/path/to/python3.12 $0" >&2
    exit 1
}
