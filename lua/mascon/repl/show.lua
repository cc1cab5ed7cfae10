--- How the session prints a value: readable, and shortened where it is long.

local layer = require "mascon.ffi"
local text = require "mascon.text"

local M = {}

local MAX_LINES, TAIL_LINES = 40, 6 -- of one value
local MAX_ITEMS, MAX_DEPTH, MAX_STRING = 40, 3, 400

local function is_figure(v)
  local figure = package.loaded["mascon.plot.figure"]
  return figure ~= nil and figure.is_figure(v)
end

local function quoted(s, room)
  local whole = #s
  s = s:sub(1, room):gsub('[%c"\\]', function(c)
    local known = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ['"'] = '\\"', ["\\"] = "\\\\" }
    return known[c] or ("\\%d"):format(c:byte())
  end)
  return whole > room and ('"%s"... (%d bytes)'):format(s, whole) or '"' .. s .. '"'
end

local function function_text(f)
  local op = package.loaded["mascon.op"]
  local row = op and op.docs[f]
  if row then
    return ("function: mascon.%s (help: ?%s)"):format(row.name, row.name)
  end
  local info = debug.getinfo(f, "S")
  if info.what ~= "C" and info.linedefined > 0 then
    return ("function: %s:%d"):format(info.short_src, info.linedefined)
  end
  return tostring(f)
end

local function own_text(v)
  local mt = getmetatable(v)
  return type(mt) == "table" and rawget(mt, "__tostring") ~= nil
end

local function tensor_summary(t)
  local good, shape = pcall(function() return t.shape end)
  if not good then
    return "tensor(released)"
  end
  return ("tensor(%s {%s} %s)"):format(t.dtype, table.concat(shape, ", "), t.device)
end

local describe

local function key_text(k)
  if type(k) == "string" and k:find "^[%a_][%w_]*$" then
    return k
  end
  return "[" .. (type(k) == "string" and quoted(k, 60) or tostring(k)) .. "]"
end

local function sorted_keys(t, n)
  local keys = {}
  for k in next, t do
    if not (type(k) == "number" and k >= 1 and k <= n and k == math.floor(k)) then
      keys[#keys + 1] = k
    end
  end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then
      return a < b
    end
    return type(a) < type(b)
  end)
  return keys
end

local function table_text(t, depth, seen, width)
  if next(t) == nil then
    return "{}"
  elseif seen[t] then
    return "{... the same table}"
  elseif depth >= MAX_DEPTH then
    return "{...}"
  end
  seen[t] = true
  local parts, n = {}, #t
  for i = 1, math.min(n, MAX_ITEMS) do
    parts[#parts + 1] = describe(rawget(t, i), depth + 1, seen, width - 2)
  end
  if n > MAX_ITEMS then
    parts[#parts + 1] = ("... %d more"):format(n - MAX_ITEMS)
  end
  local keys = sorted_keys(t, n)
  for i = 1, math.min(#keys, MAX_ITEMS) do
    parts[#parts + 1] = key_text(keys[i]) .. " = "
      .. describe(rawget(t, keys[i]), depth + 1, seen, width - 2)
  end
  if #keys > MAX_ITEMS then
    parts[#parts + 1] = ("... %d more fields"):format(#keys - MAX_ITEMS)
  end
  seen[t] = nil
  local line = "{" .. table.concat(parts, ", ") .. "}"
  if text.width(line) <= width and not line:find("\n", 1, true) then
    return line
  end
  local inner = table.concat(parts, ",\n"):gsub("\n", "\n  ")
  return "{\n  " .. inner .. "\n}"
end

function describe(v, depth, seen, width)
  local kind = type(v)
  if kind == "string" then
    return quoted(v, depth == 0 and MAX_STRING or 60)
  elseif kind == "function" then
    return function_text(v)
  elseif layer.is_tensor(v) then
    return depth == 0 and tostring(v) or tensor_summary(v)
  elseif is_figure(v) then
    return depth == 0 and v:text() or ("figure: " .. v.kind)
  elseif kind == "table" and not own_text(v) then
    return table_text(v, depth, seen, width)
  end
  local good, s = pcall(tostring, v)
  s = good and type(s) == "string" and s or ("(%s; its __tostring failed)"):format(kind)
  return depth > 0 and text.shorten(s:match "^[^\n]*", 60) or s
end

--- The text of a value; more than MAX_LINES lines lose their middle.
---@param v any
---@param width? integer columns of the terminal
---@return string
function M.text(v, width)
  local s = describe(v, 0, {}, width or 80)
  local lines = {}
  for line in (s .. "\n"):gmatch "([^\n]*)\n" do
    lines[#lines + 1] = line
  end
  if #lines <= MAX_LINES or is_figure(v) then
    return s
  end
  local kept = {}
  for i = 1, MAX_LINES - TAIL_LINES do
    kept[i] = lines[i]
  end
  kept[#kept + 1] = ("... %d lines left out; print(_) shows them"):format(#lines - MAX_LINES)
  for i = #lines - TAIL_LINES + 1, #lines do
    kept[#kept + 1] = lines[i]
  end
  return table.concat(kept, "\n")
end

return M
