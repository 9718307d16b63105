import { ConnectToHostlessButton } from "hostless-connect/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

const events = [];
window.events = events;

createRoot(document.body.appendChild(document.createElement("main"))).render(
  <StrictMode>
    <ConnectToHostlessButton
      showDisconnect
      connectOptions={{ allowedModels: ["echo/text"] }}
      onConnected={(connection) => events.push("connected " + connection.proxyBase)}
      onDisconnected={() => events.push("disconnected")}
      onError={(error) => events.push("error " + error.code)}
    />
  </StrictMode>,
);
