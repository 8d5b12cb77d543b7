#!/bin/sh
# Puts TensorFlow.js into FOLDER, for the test that runs the detector's original graph with it. Of its
# packages only what is needed is kept, and nothing of them is run here. Where it cannot be done it
# says so, and goes on.
# Usage: fetch_tfjs.sh FOLDER
set -eu
version=4.22.0
scope=$1/node_modules/@tensorflow
[ -e "$scope/tfjs-core/index.js" ] && exit 0
if ! command -v npm >/dev/null 2>&1 || ! command -v node >/dev/null 2>&1; then
    echo "no node and npm: the detector is not compared with its original"
    exit 0
fi
echo "fetching @tensorflow/tfjs $version from npm (33 MB)"
download=$(mktemp -d)
trap 'rm -rf "$download"' EXIT
unpack() { # PACKAGE PATTERN...
    package=$1
    shift
    (cd "$download" && npm pack --silent "@tensorflow/$package@$version" >/dev/null) || {
        echo "left out what needs TensorFlow.js: npm does not bring it"
        exit 0
    }
    mkdir -p "$scope/$package"
    tar -xzf "$download/tensorflow-$package-$version.tgz" -C "$scope/$package" \
        --strip-components 1 --wildcards "$@"
}
unpack tfjs package/dist/tf.min.js
unpack tfjs-backend-wasm package/dist/tf-backend-wasm.min.js 'package/dist/*.wasm'
# The backend asks for the core as a package of its own; the library in one file holds it.
mkdir -p "$scope/tfjs-core"
echo 'module.exports = require("@tensorflow/tfjs/dist/tf.min.js");' >"$scope/tfjs-core/index.js"
