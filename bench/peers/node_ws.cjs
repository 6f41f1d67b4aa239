// What forwarding costs in Node with the package ws. Prints its port; run in the folder that has node_modules.
const { WebSocketServer } = require(require.resolve("ws", { paths: [process.cwd()] }));

const people = new Map();
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, backlog: 4096, perMessageDeflate: false });
server.on("listening", () => console.log(server.address().port));
server.on("connection", (socket) => {
  let named = false;
  socket.on("message", (data) => {
    const number = data.readUInt32BE(0);
    if (named) people.get(number)?.send(data, { binary: true });
    else people.set(number, socket);
    named = true;
  });
  socket.on("error", () => socket.terminate());
});
