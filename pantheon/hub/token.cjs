// Loaded before configurable-http-proxy, which takes its token from the environment only: other processes can read the
// environment that a process is started with, but not what it adds later.
process.env.CONFIGPROXY_AUTH_TOKEN = require("fs").readFileSync(process.env.HUB_PROXY_TOKEN_FILE, "utf8").trim();
