// Consul as Recount runs it: the agent, and the commands to look after it.
package main

import (
	"fmt"
	"io"
	"log"
	"os"

	mcli "github.com/mitchellh/cli"

	"github.com/hashicorp/consul/command/agent"
	"github.com/hashicorp/consul/command/catalog"
	nodes "github.com/hashicorp/consul/command/catalog/list/nodes"
	services "github.com/hashicorp/consul/command/catalog/list/services"
	"github.com/hashicorp/consul/command/cli"
	"github.com/hashicorp/consul/command/info"
	"github.com/hashicorp/consul/command/leave"
	"github.com/hashicorp/consul/command/members"
	"github.com/hashicorp/consul/command/reload"
	"github.com/hashicorp/consul/command/validate"
	"github.com/hashicorp/consul/command/version"
)

func main() {
	log.SetOutput(io.Discard)
	ui := &cli.BasicUI{BasicUi: mcli.BasicUi{Writer: os.Stdout, ErrorWriter: os.Stderr}}
	commands := map[string]mcli.CommandFactory{
		"agent":            func() (mcli.Command, error) { return agent.New(ui), nil },
		"catalog":          func() (mcli.Command, error) { return catalog.New(), nil },
		"catalog nodes":    func() (mcli.Command, error) { return nodes.New(ui), nil },
		"catalog services": func() (mcli.Command, error) { return services.New(ui), nil },
		"info":             func() (mcli.Command, error) { return info.New(ui), nil },
		"leave":            func() (mcli.Command, error) { return leave.New(ui), nil },
		"members":          func() (mcli.Command, error) { return members.New(ui), nil },
		"reload":           func() (mcli.Command, error) { return reload.New(ui), nil },
		"validate":         func() (mcli.Command, error) { return validate.New(ui), nil },
		"version":          func() (mcli.Command, error) { return version.New(ui), nil },
	}
	program := &mcli.CLI{
		Name:        "consul",
		Args:        os.Args[1:],
		Commands:    commands,
		HelpFunc:    mcli.BasicHelpFunc("consul"),
		HelpWriter:  os.Stdout,
		ErrorWriter: os.Stderr,
	}
	code, err := program.Run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
