// Everything Attune publishes, from Node: npm install zeromq, then run this.
const { Subscriber } = require("zeromq");

(async () => {
  const socket = new Subscriber();
  socket.connect(process.argv[2] ?? "tcp://127.0.0.1:7100");
  socket.subscribe("result/");
  for await (const [topic, payload] of socket) {
    const result = JSON.parse(payload); // note: nanoseconds since 1970 (epoch) exceed 2^53
    console.log(topic.toString(), result.seq, result.end_ns / 1e9, result.sentiment?.score ?? null);
  }
})();
