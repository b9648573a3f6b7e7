// Command reader is how kubectl reads a file: its document splitter, and sigs.k8s.io/yaml behind it. Each text, given as a JSON string, is
// answered with one line of JSON: an array of the documents, or an object with the error.
package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// documents does what the stream visitor of k8s.io/cli-runtime does.
func documents(text string) ([]json.RawMessage, error) {
	all := []json.RawMessage{}
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		var extension runtime.RawExtension
		if err := decoder.Decode(&extension); err != nil {
			if errors.Is(err, io.EOF) {
				return all, nil
			}
			return nil, err
		}
		if len(extension.Raw) > 0 && string(extension.Raw) != "null" {
			all = append(all, extension.Raw)
		}
	}
}

func main() {
	input, output := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var text string
		if input.Decode(&text) != nil {
			return
		}
		var answer any
		answer, err := documents(text)
		if err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		if output.Encode(answer) != nil {
			return
		}
	}
}
