// A server that `node --watch` restarts each time this file is saved. It takes half a
// second to start, as larger servers do.
const http = require("node:http");

const server = http.createServer((request, response) => {
  let form = "";
  request.on("data", (part) => (form += part));
  request.on("end", () => {
    response.setHeader("Content-Type", "text/html");
    response.end(`<!doctype html><title>watch</title><h1>first words</h1><p>${form.length}`);
  });
});
setTimeout(() => server.listen(process.env.PORT, process.env.HOST), 500);
