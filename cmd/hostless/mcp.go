package main

import (
	"io"

	"github.com/hostless/hostless/pkg/guide"
	"github.com/hostless/hostless/pkg/mcp"
	"github.com/urfave/cli/v2"
)

func mcpGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "mcp", Usage: "serve read-only tools for agents: apps, their output, requests, spend",
		Description: "An MCP server on standard input and output, which the agent starts:\n\n  claude mcp add hostless -- hostless mcp\n\nInside `hostless run` it shows only that app. It changes nothing.",
	}, 0, 0, e.mcp)
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
