import type { ReactElement } from "react";
import type { ClientOptions, Connection, ConnectOptions, ConnectResult, HostlessClient, HostlessMode, PendingApproval } from "./connect.js";

export interface UseHostlessOptions {
  clientOptions?: ClientOptions;
  onConnected?: (connection: Connection) => void;
  onDisconnected?: () => void;
  onError?: (error: unknown) => void;
}

export interface HostlessConnectState {
  busy: boolean;
  client: HostlessClient | null;
  connected: boolean;
  connection: Connection;
  error: string;
  mode: HostlessMode | "detecting";
  pending: PendingApproval | null;
  tokenPreview: string;
  connect(options?: ConnectOptions): Promise<ConnectResult | null>;
  disconnect(): void;
  fetchWithHostless(path: string, init?: RequestInit): Promise<Response>;
}

export function useHostlessConnect(options?: UseHostlessOptions): HostlessConnectState;

export interface ConnectToHostlessButtonProps extends UseHostlessOptions {
  connectOptions?: ConnectOptions;
  label?: string;
  connectedLabel?: string;
  busyLabel?: string;
  disconnectLabel?: string;
  showDisconnect?: boolean;
  className?: string;
  statusClassName?: string;
  errorClassName?: string;
}

export function ConnectToHostlessButton(props: ConnectToHostlessButtonProps): ReactElement;
