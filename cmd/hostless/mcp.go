package main

import (
	"fmt"
	"io"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/guide"
	"github.com/hostless/hostless/pkg/mcp"
	"github.com/urfave/cli/v2"
)

func mcpGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "mcp", Usage: "serve read-only tools for agents: apps, their output, requests, spend",
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "print-config", Usage: "print the commands that add it to Claude Code, Codex and Gemini CLI"}},
		Description: "An MCP server on standard input and output, which the agent starts:\n\n  claude mcp add hostless -- hostless mcp\n\nInside `hostless run` it shows only that app. It changes nothing. The daemon serves the same tools\nover HTTP at /mcp, for tokens of `hostless token create --mcp`.",
	}, 0, 0, func(cc *cli.Context) error {
		if cc.Bool("print-config") {
			return e.mcpConfig(cc)
		}
		return e.mcp(cc)
	})
}

// mcpConfig prints the commands that add the server to agents.
func (e *env) mcpConfig(cc *cli.Context) error {
	return ask(e, func(c *control.Client) (control.Status, error) { return c.Status(cc.Context) }, func(s control.Status) error {
		// Always plain HTTP, also with TLS: agents do not trust the local authority.
		url := fmt.Sprintf("http://localhost:%d%s", s.Port, mcp.Path)
		return e.printLine(`# Over standard input and output: the agent starts it, and no token is needed.
claude mcp add hostless -- hostless mcp
codex mcp add hostless -- hostless mcp
gemini mcp add %[2]s hostless mcp

# Over HTTP, with a token that is only for this.
export HOSTLESS_MCP_TOKEN=$(hostless token create --mcp --name agent --ttl 30d)
claude mcp add --transport http hostless %[1]s --header "Authorization: Bearer $HOSTLESS_MCP_TOKEN"
codex mcp add hostless --url %[1]s --bearer-token-env-var HOSTLESS_MCP_TOKEN
gemini mcp add --transport http --header "Authorization: Bearer $HOSTLESS_MCP_TOKEN" hostless %[1]s`, url, mcp.Name)
	})
}

func skillGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "skill", Usage: "print a page for coding agents: how to run apps and use models here",
		Description: "The same page is at http://hostless.localhost:48282/llms.txt. For Claude Code:\n\n  mkdir -p ~/.claude/skills/hostless && hostless skill > ~/.claude/skills/hostless/SKILL.md",
	}, 0, 0, func(*cli.Context) error {
		_, err := io.WriteString(e.out, guide.Text)
		return err
	})
}

func (e *env) mcp(cc *cli.Context) error {
	client, err := e.client()
	if err != nil {
		return err
	}
	defer client.CloseIdle()
	if isTerminal(e.in) {
		e.note("hostless: this is a Model Context Protocol server for an agent to start; Ctrl-C ends it")
	}
	return mcp.Serve(cc.Context, mcp.New(e.version, client), e.in, e.out)
}
