--- POST /classify for nginx's Lua module: decodes the picture, gives the model to a thread of mascon, and lets
--- the worker serve other requests until the result is there.
local M = {}

local classes = { "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck" }
-- Decoding runs in the worker's own thread; a picture of this size takes about 2 ms.
local MAX_PIXELS = 512 * 512
local SIZE = 32

local mascon, model

--- Once per worker.
function M.load()
  package.preload.mascon = assert(package.loadlib(assert(os.getenv "MASCON_LIBRARY", "MASCON_LIBRARY is not set"),
    "luaopen_mascon"))
  mascon = require "mascon"
  model = mascon.load_model(assert(os.getenv "MASCON_MODEL", "MASCON_MODEL is not set"))
end

local function reply(status, text)
  ngx.status = status
  ngx.header.content_type = "application/json"
  ngx.say(text)
end

--- The first line of an error, without the place in the code, as a JSON string.
local function quoted(message)
  local line = tostring(message):match("^[^\n]*"):gsub("^%S+:%d+: ", "")
  return '"' .. line:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end

local function input_of(body)
  local picture = mascon.image.decode(body, { max_pixels = MAX_PIXELS, channels = 3 })
  return (mascon.image.resize(picture, { SIZE, SIZE }):to "float32" / 255):unsqueeze(1)
end

--- One request.
function M.answer()
  if ngx.req.get_method() ~= "POST" then
    return reply(405, '{"error": "POST a picture"}')
  end
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  if not body then
    return reply(400, '{"error": "the body is empty"}')
  end
  local good, x = pcall(input_of, body)
  if not good then
    return reply(400, '{"error": ' .. quoted(x) .. "}")
  end
  local job = mascon.async(model, x)
  while not job:done() do
    ngx.sleep(0.001) -- other requests pass meanwhile
  end
  local scores
  good, scores = pcall(job.result, job)
  if not good then
    return reply(500, '{"error": ' .. quoted(scores) .. "}")
  end
  local probability, class = mascon.softmax(scores, 2):max(2)
  reply(200, ('{"class": "%s", "probability": %.4f}'):format(classes[class:item()], probability:item()))
end

return M
