// A mail server: smtp-server, whose clients must sign in as saldo with the password in SMTP_PASSWORD.
//
//   node mail-server.js PORT
//
// It says where it listens and what it takes, in JSON, a line each. Whoever is called refused has no mailbox here.

import { SMTPServer } from "smtp-server";

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const refusal = (code, text) => Object.assign(new Error(text), { responseCode: code });

const server = new SMTPServer({
  // In the open: who listens on the loopback has the password already.
  hideSTARTTLS: true,
  allowInsecureAuth: true,
  authMethods: ["PLAIN", "LOGIN"],
  onAuth: ({ username, password }, _session, done) => {
    const known = username === "saldo" && password === process.env.SMTP_PASSWORD;
    done(known ? null : refusal(535, "wrong user or password"), known ? { user: username } : undefined);
  },
  onRcptTo: ({ address }, _session, done) =>
    done(address.startsWith("refused@") ? refusal(550, "no such mailbox here") : null),
  onData: (stream, session, done) => {
    const pieces = [];
    stream.on("data", (piece) => pieces.push(piece));
    stream.on("end", () => {
      const { mailFrom, rcptTo } = session.envelope;
      const to = rcptTo.map(({ address }) => address);
      say({ from: mailFrom.address, to, data: Buffer.concat(pieces).toString("base64") });
      done(null, "taken");
    });
  },
});
// A client that goes away is no matter of the server's.
server.on("error", (error) => process.stderr.write(`${error.message}\n`));
const listening = server.listen(Number(process.argv[2]), "127.0.0.1", () => say({ port: listening.address().port }));
