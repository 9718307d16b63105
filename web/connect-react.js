// React components for connect.js. The page provides React.

import * as React from "react";
import { createHostlessClient, shortToken } from "./connect.js";

const none = { token: "", proxyBase: "" };

/** Connection state and actions for one component tree. */
export function useHostlessConnect(options = {}) {
  const latest = React.useRef(options);
  latest.current = options;
  const client = React.useRef(null);
  const [view, setView] = React.useState({ connection: none, mode: "detecting", error: "", busy: false, pending: null });
  const change = React.useCallback((part) => {
    const known = client.current;
    setView((old) => ({ ...old, ...(known ? { connection: known.getConnection(), mode: known.getMode() } : {}), ...part }));
  }, []);

  React.useEffect(() => {
    // Created here and not while rendering, since there is no window on a server. Strict
    // mode runs effects twice, but the data in the URL must be used once.
    if (!client.current) {
      client.current = createHostlessClient(latest.current.clientOptions);
      const { callbackData, connection, error } = client.current.initialize();
      change({ error: error ? error.message : "" });
      if (callbackData) latest.current.onConnected?.(connection);
      if (error) latest.current.onError?.(error);
    }
    const onStorage = () => change({});
    window.addEventListener("storage", onStorage); // another tab has connected or disconnected
    return () => window.removeEventListener("storage", onStorage);
  }, [change]);

  const connect = React.useCallback(
    async (connectOptions = {}) => {
      if (!client.current) return null;
      change({ busy: true, error: "", pending: null });
      try {
        const result = await client.current.connect({ onPending: (pending) => change({ pending }), ...connectOptions });
        change({ busy: false, pending: null });
        if (result.connection) latest.current.onConnected?.(result.connection);
        return result;
      } catch (error) {
        change({ busy: false, pending: null, error: error instanceof Error ? error.message : String(error) });
        latest.current.onError?.(error);
        throw error;
      }
    },
    [change],
  );

  const disconnect = React.useCallback(() => {
    if (!client.current) return;
    client.current.disconnect();
    change({ error: "", pending: null });
    latest.current.onDisconnected?.();
  }, [change]);

  const fetchWithHostless = React.useCallback(
    async (path, init) => {
      if (!client.current) throw new Error("Hostless is available in a browser only.");
      try {
        return await client.current.fetchWithBridge(path, init);
      } catch (error) {
        change({ error: error instanceof Error ? error.message : String(error) });
        throw error;
      }
    },
    [change],
  );

  return {
    ...view,
    client: client.current,
    connected: Boolean(view.connection.token && view.connection.proxyBase),
    connect,
    disconnect,
    fetchWithHostless,
    tokenPreview: shortToken(view.connection.token),
  };
}

/** A button that connects, with state and errors below it. */
export function ConnectToHostlessButton(props) {
  const hostless = useHostlessConnect(props);
  const label = hostless.connected ? (props.connectedLabel ?? "Reconnect Hostless") : (props.label ?? "Connect to Hostless");
  const status = hostless.connected
    ? `Connected: ${hostless.connection.proxyBase} (${hostless.tokenPreview})`
    : hostless.pending
      ? `Waiting for your answer. In a terminal: ${hostless.pending.command}`
      : "Not connected to Hostless.";
  const element = React.createElement;
  return element(
    "div",
    { className: props.className ?? "hostless-connect" },
    element(
      "button",
      { type: "button", disabled: hostless.busy, onClick: () => hostless.connect(props.connectOptions).catch(() => {}) },
      hostless.busy ? (props.busyLabel ?? "Connecting…") : label,
    ),
    props.showDisconnect && hostless.connected
      ? element("button", { type: "button", onClick: hostless.disconnect }, props.disconnectLabel ?? "Forget Hostless")
      : null,
    element("p", { className: props.statusClassName ?? "hostless-connect-status", role: "status" }, status),
    hostless.error ? element("p", { className: props.errorClassName ?? "hostless-connect-error", role: "alert" }, hostless.error) : null,
  );
}
