--- Text that describes a Lua value whose tensors lie elsewhere: what a saved file keeps beside them.
-- The text is JSON. A value is one of
--   true, false, 1.5, "text"        themselves; numbers have 17 digits, so the same bits come back
--   ["n", "nan" | "inf" | "-inf"]   a number JSON has no form for
--   ["b", "00ff"]                   a string that is not UTF-8, in hexadecimal
--   ["t", "name"]                   a tensor, by its name in the file
--   ["T", [v1, v2, ...], [k, v, k, v, ...]]   a table: the values of keys 1..n, then the other pairs
--   ["r", 3]                        the third table of the text again (counted where they open)
-- The whole is ["mascon", 1, value].

local M = {}

local MAX_DEPTH = 32
local MAX_NODES = 4e6

--- Whether s is strict UTF-8 without control characters of any kind.
---@param s string
---@return boolean
function M.is_clean(s)
  return not s:find("[%z\1-\31\127]") and not s:find("\194[\128-\159]") and M.is_utf8(s)
end

--- Whether s is strict UTF-8.
---@param s string
---@return boolean
function M.is_utf8(s)
  local at = s:find("[\128-\255]")
  while at do
    local c, a, b, d = s:byte(at, at + 3)
    local more = c >= 0xf0 and 3 or c >= 0xe0 and 2 or 1
    local low, high = 0x80, 0xbf
    if c == 0xe0 then
      low = 0xa0
    elseif c == 0xed then
      high = 0x9f
    elseif c == 0xf0 then
      low = 0x90
    elseif c == 0xf4 then
      high = 0x8f
    end
    if c < 0xc2 or c > 0xf4 or not a or a < low or a > high
      or more >= 2 and not (b and b >= 0x80 and b <= 0xbf)
      or more == 3 and not (d and d >= 0x80 and d <= 0xbf) then
      return false
    end
    at = s:find("[\128-\255]", at + more + 1)
  end
  return true
end

-- Writing -----------------------------------------------------------------------------------------

local function quote(s)
  return '"' .. s:gsub('[%z\1-\31"\\]', function(c)
    return c == '"' and '\\"' or c == "\\" and "\\\\" or ("\\u%04x"):format(c:byte())
  end) .. '"'
end

local function number_text(v)
  if v ~= v then
    return '["n","nan"]'
  elseif v == math.huge then
    return '["n","inf"]'
  elseif v == -math.huge then
    return '["n","-inf"]'
  end
  local short = ("%.14g"):format(v)
  return tonumber(short) == v and short or ("%.17g"):format(v)
end

local function string_text(v)
  if M.is_utf8(v) then
    return quote(v)
  end
  return '["b","' .. v:gsub(".", function(c) return ("%02x"):format(c:byte()) end) .. '"]'
end

--- The keys of a table in the order in which they are written: that of its own __pairs, else numbers
--- then strings, each sorted, so that equal tables make equal files.
local function keys_of(t)
  local keys = {}
  local mt = getmetatable(t)
  if type(mt) == "table" and mt.__pairs then
    for k in mt.__pairs(t) do
      keys[#keys + 1] = k
    end
    return keys
  end
  for k in next, t do
    keys[#keys + 1] = k
  end
  table.sort(keys, function(a, b)
    local ta, tb = type(a), type(b)
    if ta ~= tb then
      return ta < tb
    elseif ta == "number" or ta == "string" then
      return a < b
    end
    return false
  end)
  return keys
end

--- The text of a value.
---@param value any
---@param tensor fun(v: any, path: string): string? the name of a tensor; nil for what is none
---@param fail fun(message: string, hint: string?) raises
---@return string
function M.encode(value, tensor, fail)
  local out = {}
  local numbers, open, tables = {}, {}, 0

  local function put(text)
    out[#out + 1] = text
  end

  local encode

  local function encode_table(t, path, depth)
    if open[t] then
      fail(("value at %s is a table that contains itself"):format(path == "" and "the top" or path))
    elseif numbers[t] then
      return put(('["r",%d]'):format(numbers[t]))
    elseif depth > MAX_DEPTH then
      fail(("tables are nested deeper than %d at %s"):format(MAX_DEPTH, path))
    end
    local mt = getmetatable(t)
    if mt ~= nil and not (type(mt) == "table" and mt.__pairs) then
      fail(("value%s is an object; tables, numbers, strings, booleans and tensors can be saved")
        :format(path == "" and "" or " at " .. path), "for a module, save its state_dict()")
    end
    tables = tables + 1
    numbers[t], open[t] = tables, true
    local keys = keys_of(t)
    local function child(k)
      local name = type(k) == "number" and ("%.14g"):format(k) or k
      encode(t[k], path == "" and name or path .. "." .. name, depth + 1)
    end
    for _, k in ipairs(keys) do
      if type(k) ~= "string" and type(k) ~= "number" then
        fail(("a key%s is a %s; keys can be strings and numbers")
          :format(path == "" and "" or " at " .. path, type(k)))
      end
    end
    local n = 0
    put '["T",['
    while keys[n + 1] == n + 1 do
      n = n + 1
      if n > 1 then
        put ","
      end
      child(n)
    end
    put "],["
    for i = n + 1, #keys do
      if i > n + 1 then
        put ","
      end
      put(type(keys[i]) == "number" and number_text(keys[i]) or string_text(keys[i]))
      put ","
      child(keys[i])
    end
    put "]]"
    open[t] = nil
  end

  function encode(v, path, depth)
    local kind = type(v)
    local object = kind == "table" and getmetatable(v) ~= nil and tensor(v, path)
    if object then -- an object that the caller keeps beside the text, like a tensor
      put('["t",' .. quote(object) .. "]")
    elseif kind == "table" then
      encode_table(v, path, depth)
    elseif kind == "number" then
      put(number_text(v))
    elseif kind == "string" then
      put(string_text(v))
    elseif kind == "boolean" then
      put(tostring(v))
    else
      local name = tensor(v, path)
      if not name then
        fail(("value%s is %s; tables, numbers, strings, booleans and tensors can be saved")
          :format(path == "" and "" or " at " .. path, kind == "nil" and "nil" or "a " .. kind))
      end
      put('["t",' .. quote(name) .. "]")
    end
  end

  put '["mascon",1,'
  encode(value, "", 1)
  put "]"
  return table.concat(out)
end

-- Reading -----------------------------------------------------------------------------------------

local unescaped = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\",
  ["/"] = "/" }

--- The value of a text. The text may come from anybody: every step is checked.
---@param text string
---@param tensor fun(name: string): any the tensor of a name; nil where there is none
---@param fail fun(message: string) raises
---@return any
function M.decode(text, tensor, fail)
  local at, nodes = 1, 0
  local tables, closed = {}, {}

  local function bad(expected)
    fail(("the structure is damaged: %s expected at byte %d"):format(expected, at - 1))
  end

  local function take(c)
    if text:sub(at, at + #c - 1) ~= c then
      bad(c)
    end
    at = at + #c
  end

  local function string_value()
    take '"'
    local parts = {}
    while true do
      local stop = text:find('["\\]', at) or bad "a closing quote"
      parts[#parts + 1] = text:sub(at, stop - 1)
      at = stop + 1
      if text:byte(stop) == 34 then
        return table.concat(parts)
      end
      local c = text:sub(at, at)
      if c == "u" then -- the writer uses it for control characters alone
        local hex = text:match("^00[01]%x", at + 1) or bad "a control character after \\u"
        parts[#parts + 1] = string.char(tonumber(hex, 16))
        at = at + 5
      else
        parts[#parts + 1] = unescaped[c] or bad "an escape"
        at = at + 1
      end
    end
  end

  local function number_value()
    local digits = text:match("^-?%d+%.?%d*[eE]?[+-]?%d*", at)
    local v = digits and tonumber(digits) or bad "a number"
    at = at + #digits
    return v
  end

  local special = { nan = 0 / 0, inf = math.huge, ["-inf"] = -math.huge }
  local value

  local function items(each) -- after "[": values up to "]"
    if text:sub(at, at) == "]" then
      at = at + 1
      return
    end
    while true do
      each()
      if text:sub(at, at) == "]" then
        at = at + 1
        return
      end
      take ","
    end
  end

  local function table_value(depth)
    if depth > MAX_DEPTH then
      fail(("the structure is nested deeper than %d"):format(MAX_DEPTH))
    end
    local t, n = {}, 0
    tables[#tables + 1] = t
    take ",["
    items(function()
      n = n + 1
      t[n] = value(depth + 1)
    end)
    take ",["
    items(function()
      local k = value(depth + 1)
      if type(k) ~= "string" and type(k) ~= "number" or k ~= k then
        bad "a key"
      elseif t[k] ~= nil then
        fail(("the structure has the key %s twice"):format(quote(tostring(k))))
      end
      take ","
      t[k] = value(depth + 1)
    end)
    closed[t] = true
    return t
  end

  local function tagged(depth)
    take '['
    local tag = string_value()
    local v
    if tag == "T" then
      v = table_value(depth)
    else
      take ","
      if tag == "r" then
        v = tables[number_value()]
        if v == nil or not closed[v] then
          bad "the number of an earlier table"
        end
      else
        local name = string_value()
        if tag == "t" then
          v = tensor(name)
          if v == nil then
            fail(("the structure names tensor %s, which the file does not hold"):format(quote(name)))
          end
        elseif tag == "n" then
          v = special[name] or bad "nan, inf or -inf"
        elseif tag == "b" then
          if #name % 2 == 1 or name:find "%X" then
            bad "hexadecimal digits"
          end
          v = name:gsub("..", function(h) return string.char(tonumber(h, 16)) end)
        else
          bad "a known tag"
        end
      end
    end
    take "]"
    return v
  end

  function value(depth)
    nodes = nodes + 1
    if nodes > MAX_NODES then
      fail(("the structure has more than %d values"):format(MAX_NODES))
    end
    local c = text:sub(at, at)
    if c == "[" then
      return tagged(depth)
    elseif c == '"' then
      return string_value()
    elseif c == "t" then
      take "true"
      return true
    elseif c == "f" then
      take "false"
      return false
    end
    return number_value()
  end

  take '["mascon",'
  local version = number_value()
  if version ~= 1 then
    fail(("the structure has version %.14g, made by a later mascon; this one reads 1"):format(version))
  end
  take ","
  local v = value(1)
  take "]"
  if at <= #text then
    bad "the end"
  end
  return v
end

return M
