--- Lua text as tokens: for completion, which sees unfinished text, and for `local` at the prompt.

local M = {}

local keywords = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return "
  .. "then true until while"):gmatch "%a+" do
  keywords[word] = true
end

local function add(list, kind, text, from, to, at)
  list[#list + 1] = { kind = kind, text = text:sub(from, to), from = from, to = to, at = at }
end

--- A long bracket from `from` on: its last position, or nil where it is not closed.
local function long_end(text, from)
  local level = text:match("^%[(=*)%[", from)
  if level then
    local _, last = text:find("]" .. level .. "]", from, true)
    return true, last
  end
end

local function short_end(text, from)
  local quote = text:sub(from, from)
  local i = from + 1
  while i <= #text do
    local c = text:sub(i, i)
    if c == "\\" then
      i = i + 1
    elseif c == quote then
      return i
    elseif c == "\n" then
      return nil
    end
    i = i + 1
  end
end

local function read_comment(list, text, i)
  local is_long, last = long_end(text, i + 2)
  if not is_long then
    last = (text:find("\n", i, true) or #text + 1) - 1
  end
  add(list, "comment", text, i, last or #text)
end

local function read_string(list, text, i)
  local is_long, last = long_end(text, i)
  if not is_long then
    last = short_end(text, i)
  end
  add(list, last and "string" or "open", text, i, last or #text)
end

--- The tokens of a text: {kind, text, from, to}; kind is "name", "keyword", "number", "string",
--- "open" (a string that is not closed), "comment" or "symbol".
---@param text string
---@return table[]
function M.tokens(text)
  local list, i = {}, 1
  while true do
    i = text:find("%S", i)
    if not i then
      return list
    end
    local c = text:sub(i, i)
    if c:find "[%a_]" then
      local word = text:match("^[%w_]+", i)
      add(list, keywords[word] and "keyword" or "name", text, i, i + #word - 1)
    elseif c:find "%d" or text:find("^%.%d", i) then
      add(list, "number", text, i, i + #text:match("^[%w.]+", i) - 1)
    elseif text:find("^%-%-", i) then
      read_comment(list, text, i)
    elseif c == '"' or c == "'" or text:find("^%[=*%[", i) then
      read_string(list, text, i)
    else
      local symbol = text:match("^%.%.%.?", i) or text:match("^[=~<>]=", i) or text:match("^::", i) or c
      add(list, "symbol", text, i, i + #symbol - 1)
    end
    i = list[#list].to + 1
  end
end

--- The tokens without comments.
function M.code(text)
  local list = {}
  for _, token in ipairs(M.tokens(text)) do
    if token.kind ~= "comment" then
      list[#list + 1] = token
    end
  end
  return list
end

local deeper = { ["do"] = 1, ["function"] = 1, ["if"] = 1, ["repeat"] = 1, ["("] = 1, ["["] = 1, ["{"] = 1,
  ["end"] = -1, ["until"] = -1, [")"] = -1, ["]"] = -1, ["}"] = -1 }

local function is(token, text)
  return token ~= nil and token.text == text and (token.kind == "symbol" or token.kind == "keyword")
end

--- The text without `local` before the variables of its outermost level: at a prompt every line is a
--- chunk of its own, and what one line declares the next one should see. Columns and lines stay.
---@param text string
---@return string
function M.without_local(text)
  if not text:find("local", 1, true) then
    return text
  end
  local tokens, depth = M.code(text), 0
  local parts, last = {}, 1
  for i, token in ipairs(tokens) do
    if depth == 0 and is(token, "local") then
      parts[#parts + 1] = text:sub(last, token.from - 1) .. "     "
      last = token.to + 1
      local k = i + 1
      while tokens[k] and tokens[k].kind == "name" and is(tokens[k + 1], ",") do
        k = k + 2
      end
      if tokens[k] and tokens[k].kind == "name" and not is(tokens[k + 1], "=") then
        parts[#parts + 1] = text:sub(last, tokens[k].to) .. " = nil"
        last = tokens[k].to + 1
      end
    elseif token.kind ~= "string" then
      depth = depth + (deeper[token.text] or 0)
    end
  end
  return table.concat(parts) .. text:sub(last)
end

return M
