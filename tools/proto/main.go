// SPDX-License-Identifier: Apache-2.0

// Command proto compiles .proto files to Go with protoc-gen-go, and needs no protoc: the compiler is a Go library. tools/gen/run calls it.
//
//	proto PLUGIN FILE... > CODE
//
// PLUGIN is the path of protoc-gen-go. The code of all files is printed, one after the other.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: proto PLUGIN FILE...")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "proto:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, plugin string, files []string) error {
	request := &pluginpb.CodeGeneratorRequest{Parameter: proto.String("paths=source_relative")}
	for _, name := range files {
		compiler := protocompile.Compiler{
			Resolver:       &protocompile.SourceResolver{ImportPaths: []string{filepath.Dir(name)}},
			SourceInfoMode: protocompile.SourceInfoStandard,
		}
		compiled, err := compiler.Compile(ctx, filepath.Base(name))
		if err != nil {
			return fmt.Errorf("compile %s: %w", name, err)
		}
		request.FileToGenerate = append(request.FileToGenerate, filepath.Base(name))
		request.ProtoFile = append(request.ProtoFile, protodesc.ToFileDescriptorProto(compiled[0]))
	}
	input, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, plugin)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), os.Stderr
	output, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("run %s: %w", plugin, err)
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(output, &response); err != nil {
		return fmt.Errorf("read what %s wrote: %w", plugin, err)
	}
	if response.GetError() != "" {
		return errors.New(response.GetError())
	}
	for _, f := range response.GetFile() {
		if _, err := os.Stdout.WriteString(f.GetContent()); err != nil {
			return err
		}
	}
	return nil
}
