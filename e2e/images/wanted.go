//go:build linux

package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
)

// withoutStandIn are images that no Debian package can stand in for. Their services
// are left out of the test.
var withoutStandIn = []string{"grafana/grafana"}

// wantedImages lists the images that docker-compose.yml and the Dockerfile of a tree
// name, each once, in order.
func wantedImages(ctx context.Context, tree string) ([]string, error) {
	images, err := composeImages(ctx, filepath.Join(tree, "docker-compose.yml"))
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(tree, "Dockerfile"))
	if err != nil {
		return nil, err
	}
	for _, image := range baseImages(string(text)) {
		images[image] = true
	}
	maps.DeleteFunc(images, func(image string, _ bool) bool { return slices.Contains(withoutStandIn, repository(image)) })
	return slices.Sorted(maps.Keys(images)), nil
}

// composeImages are the images of the services, less those that are built.
func composeImages(ctx context.Context, file string) (map[string]bool, error) {
	o, err := cli.NewProjectOptions([]string{file}, cli.WithName("fanfare"), cli.WithProfiles([]string{"*"}))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	project, err := o.LoadProject(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	images := map[string]bool{}
	for _, s := range project.AllServices() {
		images[s.Image] = true
	}
	for _, s := range project.AllServices() {
		if s.Build != nil {
			delete(images, s.Image)
		}
	}
	return images, nil
}

var fromLine = regexp.MustCompile(`(?mi)^FROM\s+(\S+)(?:\s+AS\s+(\S+))?`)

// baseImages are the images that a Dockerfile starts from, less its own stages.
func baseImages(dockerfile string) (images []string) {
	stages := []string{"scratch"}
	for _, m := range fromLine.FindAllStringSubmatch(dockerfile, -1) {
		if !slices.Contains(stages, m[1]) {
			images = append(images, m[1])
		}
		stages = append(stages, m[2])
	}
	return images
}

// repository is an image's name without tag and digest.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		image = image[:i]
	}
	return strings.TrimPrefix(strings.TrimPrefix(image, "docker.io/"), "library/")
}
