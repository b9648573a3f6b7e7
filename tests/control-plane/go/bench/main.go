// Command bench is Go's age library on the other side of the benchmark: it works with keys in memory and is asked a round at a time,
// so that its rounds alternate with ours.
//
// A line "OPERATION KIND COUNT" (such as "open hybrid 200") is answered with the nanoseconds per operation.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"filippo.io/age"
)

// key is one kind's key pair and a value sealed to it.
type key struct {
	identity  age.Identity
	recipient age.Recipient
	sealed    []byte
}

var value = []byte("a value of thirty-two bytes long")

func (k *key) seal() []byte {
	var file bytes.Buffer
	writer := must(age.Encrypt(&file, k.recipient))
	must(writer.Write(value))
	must(0, writer.Close())
	return file.Bytes()
}

func (k *key) open() []byte {
	return must(io.ReadAll(must(age.Decrypt(bytes.NewReader(k.sealed), k.identity))))
}

func main() {
	hybrid := must(age.GenerateHybridIdentity())
	x25519 := must(age.GenerateX25519Identity())
	keys := map[string]*key{
		"hybrid": {identity: hybrid, recipient: hybrid.Recipient()},
		"x25519": {identity: x25519, recipient: x25519.Recipient()},
	}
	for _, key := range keys {
		key.sealed = key.seal()
		if !bytes.Equal(key.open(), value) {
			panic("another value came out")
		}
	}
	fmt.Println(runtime.Version(), version())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var operation, kind string
		var count int64
		must(fmt.Sscan(lines.Text(), &operation, &kind, &count))
		work := map[string]func() []byte{"seal": keys[kind].seal, "open": keys[kind].open}[operation]
		start := time.Now()
		for range count {
			work()
		}
		fmt.Println(time.Since(start).Nanoseconds() / count)
	}
}

// version is that of the age library in this binary.
func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "filippo.io/age" {
			return module.Version
		}
	}
	return "unknown"
}

func must[T any](result T, err error) T {
	if err != nil {
		panic(err)
	}
	return result
}
