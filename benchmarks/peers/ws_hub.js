// A hub as one writes it with the package `ws`: the same bytes, no snaps.
'use strict';
const { WebSocketServer } = require('ws');

const WELCOME = JSON.stringify({
  type: 'welcome', heartbeat_s: 20, cameras: [{ name: 'load-00000', snippet: 1, upload: null }],
});
const ORDER = JSON.stringify({
  type: 'snap', id: '0198c2f1-02c4-7d5a-9a6e-0f7f8c1f5a10', camera: 'load-00000', deadline_s: 30,
});
const cameras = new Set();
let controller = null;

const server = new WebSocketServer({
  host: '127.0.0.1', port: Number(process.argv[2]), perMessageDeflate: false, backlog: 4096,
});
server.on('connection', (client) => {
  client.once('message', (hello) => {
    const isCamera = JSON.parse(hello).role === 'camera';
    client.send(WELCOME);
    if (isCamera) cameras.add(client);
    else controller = client;
    client.on('message', (message) => {
      if (isCamera) controller?.send(message, { binary: false });
      else for (const camera of cameras) camera.send(ORDER);
    });
  });
  client.on('close', () => cameras.delete(client));
});
