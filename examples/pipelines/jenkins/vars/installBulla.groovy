// A step of a shared library: puts one version of bulla, known by its checksum, into the workspace's temporary folder and gives that folder. As in
//   withEnv(["PATH+BULLA=${installBulla(version: '1.0.0', sha256: '…', url: 'https://downloads.example.com/bulla')}"]) { sh 'bulla --version' }
def call(Map args) {
    def folder = "${pwd(tmp: true)}/bulla-${args.version}"
    withEnv(["FOLDER=${folder}", "VERSION=${args.version}", "SHA256=${args.sha256}", "URL=${args.url}"]) {
        // In single quotes, so that the shell and not Groovy fills in the variables.
        sh '''
            set -eu
            mkdir -p "$FOLDER"
            curl -fsSL --retry 3 -o "$FOLDER/archive" "$URL/v$VERSION/bulla-$VERSION-$(uname -m)-linux.tar.gz"
            # Before anything in it is unpacked, let alone run.
            echo "$SHA256  $FOLDER/archive" | sha256sum --check --quiet
            tar -xzf "$FOLDER/archive" -C "$FOLDER" bulla
        '''
    }
    return folder
}
