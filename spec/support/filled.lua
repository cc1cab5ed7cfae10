--- Networks and inputs filled by a rule instead of from a file: the numbers of scripts/golden/models.py.

local layer = require "mascon.ffi"
local m = require "mascon"

local bxor, rshift = bit.bxor, bit.rshift
local M = {}

--- The entries of a state dict in the module's order, which the plain pairs of LuaJIT does not keep.
local function in_order(net)
  local sd = net:state_dict()
  return getmetatable(sd).__pairs(sd)
end

--- Numbers in [0, 1) of the row-major positions in the tensor at this place, as value(u) makes them.
---@param t mascon.Tensor float32, row-major
---@param place integer
---@param scale number
---@param offset number
function M.fill(t, place, scale, offset)
  local p = t:data_ptr()
  local start = place * 40503
  for k = 0, t:numel() - 1 do
    local x = (k * 50695211 + start) % 2 ^ 32
    x = bxor(x, rshift(x, 15)) % 2 ^ 32 * 1664525 % 2 ^ 32
    x = bxor(x, rshift(x, 13)) % 2 ^ 32
    p[k] = x / 2 ^ 32 * scale + offset
  end
  return t
end

--- Fills a state dict whose names come in the module's order. Values are formed in double precision and
--- rounded once.
---@param net mascon.nn.Module
function M.fill_module(net)
  local values, place = {}, 0
  for name, t in in_order(net) do
    place = place + 1
    local shape = t.shape
    if t.dtype == "int64" then
      values[name] = m.full(shape, 7, { dtype = "int64" })
    else
      local scale, offset = 0.4, -0.2
      if #shape > 1 then
        local fan_in = 1
        for d = 2, #shape do
          fan_in = fan_in * shape[d]
        end
        offset = -((#shape == 4 and 6 or 3) / fan_in) ^ 0.5
        scale = -2 * offset
      elseif name:find "running_var$" or name:find "weight$" then
        scale, offset = 1, 0.5
      end
      values[name] = M.fill(m.empty(shape), place, scale, offset)
    end
  end
  net:load_state_dict(values)
  return net
end

--- Pictures {2, 3, 64, 64} between -2 and 2.
function M.pictures()
  return M.fill(m.empty { 2, 3, 64, 64 }, 1000, 4, -2)
end

--- The SHA-256 of the names and shapes of a state dict, one a line, in the module's order.
---@param net mascon.nn.Module
---@return string
function M.digest(net)
  local lines = {}
  for name, t in in_order(net) do
    lines[#lines + 1] = ("%s {%s}\n"):format(name, table.concat(t.shape, ", "))
  end
  local text = table.concat(lines)
  local box, hex = layer.new "mascon_digest *[1]", layer.new "char[65]"
  layer.check(layer.C.mascon_digest_new(box))
  layer.C.mascon_digest_add(box[0], text, #text)
  layer.C.mascon_digest_text(box[0], hex)
  layer.C.mascon_digest_release(box[0])
  return layer.string(hex)
end

return M
