// What Flux and Argo CD would make of a resource or a manifest, by their own code:
//
//	gitops health         JSON documents on stdin -> a line each: kstatus's word, which Flux and Helm go by
//	gitops flux           JSON documents on stdin -> a line for each that Flux's types do not take
//	gitops lua FILE       a JSON document on stdin -> what a health or action script of Argo CD returns, as JSON
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	helm "github.com/fluxcd/helm-controller/api/v2"
	kustomize "github.com/fluxcd/kustomize-controller/api/v1"
	source "github.com/fluxcd/source-controller/api/v1"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

var types = map[string]func() any{
	"GitRepository":  func() any { return &source.GitRepository{} },
	"OCIRepository":  func() any { return &source.OCIRepository{} },
	"HelmRepository": func() any { return &source.HelmRepository{} },
	"Kustomization":  func() any { return &kustomize.Kustomization{} },
	"HelmRelease":    func() any { return &helm.HelmRelease{} },
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("give health, flux or lua FILE")
	}
	documents := json.NewDecoder(os.Stdin)
	for {
		var text json.RawMessage
		if err := documents.Decode(&text); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var content map[string]any
		// As Kubernetes reads JSON: whole numbers stay whole.
		if err := utiljson.Unmarshal(text, &content); err != nil {
			return err
		}
		if err := show(arguments, content); err != nil {
			return err
		}
	}
}

func show(arguments []string, content map[string]any) error {
	switch arguments[0] {
	case "health":
		found, err := status.Compute(&unstructured.Unstructured{Object: content})
		if err != nil {
			return err
		}
		fmt.Println(found.Status)
	case "flux":
		if err := strict(content); err != nil {
			fmt.Println(err)
		}
	case "lua":
		return script(arguments[1], content)
	default:
		return fmt.Errorf("unknown: %s", arguments[0])
	}
	return nil
}

func strict(content map[string]any) error {
	kind, _ := content["kind"].(string)
	made, known := types[kind]
	if !known {
		return fmt.Errorf("%s is none of Flux's kinds that are known here", kind)
	}
	text, err := json.Marshal(content)
	if err != nil {
		return err
	}
	reader := json.NewDecoder(bytesOf(text))
	reader.DisallowUnknownFields()
	if err := reader.Decode(made()); err != nil {
		return fmt.Errorf("%s %v: %w", kind, content["metadata"], err)
	}
	return nil
}

// script runs one of Argo CD's: `obj` is the resource; what it returns is printed.
func script(file string, content map[string]any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	// The libraries that Argo CD opens; of os it takes time and date only.
	for _, open := range []lua.LGFunction{lua.OpenPackage, lua.OpenBase, lua.OpenTable, lua.OpenString, lua.OpenOs} {
		state.Push(state.NewFunction(open))
		state.Call(0, 0)
	}
	state.SetGlobal("obj", toLua(state, content))
	state.SetGlobal("now", lua.LString("2026-01-01T00:00:00Z"))
	if err := state.DoString(string(text)); err != nil {
		return err
	}
	shown, err := json.Marshal(fromLua(state.Get(-1)))
	if err != nil {
		return err
	}
	fmt.Println(string(shown))
	return nil
}
