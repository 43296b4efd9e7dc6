-- wrk: POST the file BODY, with PAUSE ms between the requests of a connection; one line of JSON at the end.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
if os.getenv("AUTHORIZATION") ~= "" then
  wrk.headers["Authorization"] = os.getenv("AUTHORIZATION")
end
local file = assert(io.open(os.getenv("BODY"), "rb"))
wrk.body = file:read("*a")
file:close()

local pause = tonumber(os.getenv("PAUSE")) or 0
if pause > 0 then
  function delay()
    return math.random(math.ceil(pause / 2), math.floor(pause * 3 / 2))
  end
end

function done(summary, latency, requests)
  local wrong = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format('\n{"rate": %f, "p50": %f, "p99": %f, "requests": %d, "wrong": %d}\n',
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    summary.requests, wrong))
end
