--- Completion: what may stand at the cursor, from the tokens before it.

local help = require "mascon.help"
local lexer = require "mascon.repl.lexer"
local members = require "mascon.repl.members"
local text = require "mascon.text"

local M = {}

local MAX_SHOWN = 120

-- Walking backwards over tokens -------------------------------------------------------------------------------

local opener = { [")"] = "(", ["]"] = "[", ["}"] = "{" }
local is_opener = { ["("] = true, ["["] = true, ["{"] = true }

local function symbol(token)
  return token and token.kind == "symbol" and token.text or nil
end

--- The position of the bracket that matches the one at i.
local function matching(tokens, i)
  local depth = 0
  for k = i, 1, -1 do
    local s = symbol(tokens[k])
    if opener[s] then
      depth = depth + 1
    elseif is_opener[s] then
      depth = depth - 1
      if depth == 0 then
        return k
      end
    end
  end
end

--- The position of the bracket that is open at i.
local function enclosing(tokens, i)
  local k = i
  while k >= 1 do
    local s = symbol(tokens[k])
    if is_opener[s] then
      return k
    elseif opener[s] then
      k = matching(tokens, k)
      if not k then
        return nil
      end
    end
    k = k - 1
  end
end

local function ends_value(token)
  local s = symbol(token)
  return token ~= nil and (token.kind == "name" or s == ")" or s == "]" or s == "}" or token.kind == "string")
end

--- The description of the expression whose last token is i.
local function expression(tokens, i)
  local token = tokens[i]
  if not token then
    return nil
  elseif token.kind == "name" then
    local s = symbol(tokens[i - 1])
    if s == "." or s == ":" then
      return members.member(expression(tokens, i - 2), token.text)
    end
    return members.global(token.text)
  elseif token.kind == "string" then
    if ends_value(tokens[i - 1]) then
      return members.call(expression(tokens, i - 1))
    end
    return { value = "" }
  end
  local s = symbol(token)
  local k = opener[s] and matching(tokens, i)
  if not k then
    return nil
  elseif s == "]" then
    local key = k == i - 2 and tokens[k + 1]
    local base = expression(tokens, k - 1)
    if base and (base.tensor or type(base.value) == "cdata") then
      return { tensor = true }
    elseif key and key.kind == "string" then
      return members.member(base, key.text:sub(2, -2))
    elseif key and key.kind == "number" and base and type(base.value) == "table" then
      local v = rawget(base.value, tonumber(key.text))
      return v ~= nil and { value = v } or nil
    end
  elseif ends_value(tokens[k - 1]) then
    return members.call(expression(tokens, k - 1))
  elseif s == ")" then
    return expression(tokens, i - 1) -- (expression): its last part is a good guess
  end
end

--- The options of the call in whose table position i stands, or nil.
local function options_at(tokens, i)
  local brace = enclosing(tokens, i)
  if symbol(tokens[brace or 0]) ~= "{" then
    return nil
  end
  local at = brace - 1
  if not ends_value(tokens[at]) then
    local s = symbol(tokens[at])
    local paren = (s == "," or s == "(") and enclosing(tokens, at)
    if not paren or symbol(tokens[paren]) ~= "(" then
      return nil
    end
    at = paren - 1
  end
  local value = members.callee(expression(tokens, at))
  return value ~= nil and help.options_of(value) or nil, brace
end

local function find_option(list, name)
  for _, o in ipairs(list or {}) do
    if o.name == name then
      return o
    end
  end
end

--- Names of options that the table does not have yet.
local function option_names(tokens, list, brace)
  local used, names = {}, {}
  for k = brace + 1, #tokens - 1 do
    if tokens[k].kind == "name" and symbol(tokens[k + 1]) == "=" then
      used[tokens[k].text] = true
    end
  end
  for _, o in ipairs(list) do
    if not used[o.name] then
      names[#names + 1] = o.name
    end
  end
  return names
end

-- Candidates ---------------------------------------------------------------------------------------------------

local function starting_with(names, prefix, ending)
  local list = {}
  for key, value in pairs(names) do
    local name = type(key) == "string" and key or value
    if name:sub(1, #prefix) == prefix and (name:sub(1, 1) ~= "_" or prefix:sub(1, 1) == "_") then
      list[#list + 1] = name
    end
  end
  table.sort(list)
  return { prefix = prefix, list = list, ending = ending }
end

local keywords = { "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local",
  "nil", "not", "or", "repeat", "return", "then", "true", "until", "while" }

local function globals(prefix)
  local set = {}
  for name in next, _G do
    if type(name) == "string" then
      set[name] = true
    end
  end
  for name in pairs((getmetatable(_G) or {}).names or {}) do
    set[name] = true
  end
  for _, word in ipairs(keywords) do
    set[word] = true
  end
  return starting_with(set, prefix)
end

--- Files whose path begins with the text.
local function file_names(start, files, ending)
  local folder, prefix = start:match "^(.*/)([^/]*)$"
  folder, prefix = folder or "", prefix or start
  local path = folder == "" and "." or folder
  if path:sub(1, 2) == "~/" then
    path = (os.getenv "HOME" or "~") .. path:sub(2)
  end
  local list = {}
  for _, name in ipairs(files and files(path) or {}) do
    if name:sub(1, #prefix) == prefix and name ~= "./" and name ~= "../"
      and (name:sub(1, 1) ~= "." or prefix:sub(1, 1) == ".") then
      list[#list + 1] = name
    end
  end
  table.sort(list)
  return { prefix = prefix, list = list, ending = ending, is_file = true }
end

local function commands(line, files)
  local space = line:match "^%s*:%s*%a+%s+()"
  if not space then
    local list = require("mascon.repl.commands").order
    return starting_with(list, line:match ":%s*(%a*)$" or "", " ")
  elseif line:match ":%s*load?%s" then
    return file_names(line:sub(space), files)
  end
end

--- What may stand at the end of a text.
---@param before string the line up to the cursor
---@param pending? string the lines before it, of one chunk
---@param files? fun(folder: string): string[]
---@return table? {prefix = what is there already, list = candidates, ending = what follows a single one}
function M.candidates(before, pending, files)
  if not pending and before:find "^%s*:" then
    local found = commands(before, files)
    if found then
      return found
    end
    before = before:gsub("^%s*:%s*%a+", "")
  end
  before = before:gsub("^%s*%?+", "")
  local all = (pending and pending .. "\n" or "") .. before
  local tokens = lexer.tokens(all)
  local last = tokens[#tokens]
  if last and last.kind == "comment" and last.to == #all then
    return nil
  end
  tokens = lexer.code(all)
  last = tokens[#tokens]
  if last and last.kind == "open" then
    local quote = last.text:sub(1, 1)
    local o = symbol(tokens[#tokens - 1]) == "=" and tokens[#tokens - 2]
      and find_option(options_at(tokens, #tokens - 3), tokens[#tokens - 2].text)
    if o and o.choices then
      return starting_with(o.choices, last.text:sub(2), quote)
    end
    return file_names(last.text:sub(2), files, quote)
  end
  local prefix, i = "", #tokens
  if last and (last.kind == "name" or last.kind == "keyword") and last.to == #all then
    prefix, i = last.text, i - 1
  end
  local s = symbol(tokens[i])
  if s == "." or s == ":" then
    return starting_with(members.names(expression(tokens, i - 1), s == ":"), prefix)
  end
  if s == "{" or s == "," or s == ";" then
    local list, brace = options_at(tokens, i)
    local found = list and starting_with(option_names(tokens, list, brace), prefix, " = ")
    if found and #found.list > 0 then
      return found
    end
  end
  return globals(prefix)
end

local function common_start(list)
  local start = list[1]
  for _, name in ipairs(list) do
    while name:sub(1, #start) ~= start do
      start = start:sub(1, -2)
    end
  end
  return start
end

--- Names in columns.
local function listing(list, width)
  local shown = math.min(#list, MAX_SHOWN)
  local wide = 0
  for i = 1, shown do
    wide = math.max(wide, text.width(list[i]) + 2)
  end
  local columns = math.max(1, math.floor((width - 1) / wide))
  local high = math.ceil(shown / columns)
  local lines = {}
  for r = 1, high do
    local parts = {}
    for i = r, shown, high do
      parts[#parts + 1] = text.pad(list[i], wide)
    end
    lines[r] = table.concat(parts):gsub("%s+$", "")
  end
  if shown < #list then
    lines[#lines + 1] = ("... %d more"):format(#list - shown)
  end
  return table.concat(lines, "\n")
end

--- The TAB key: what to insert at the cursor, and what to show below the line.
---@param before string
---@param pending? string
---@param terminal table columns(), files(folder)
---@return string? insert, string? shown
function M.key(before, pending, terminal)
  if not before:find "%S" then
    return "  "
  end
  local found = M.candidates(before, pending, terminal.files)
  if not found or #found.list == 0 then
    return nil
  end
  local start = common_start(found.list)
  local insert = start:sub(#found.prefix + 1)
  if #found.list == 1 then
    local is_folder = found.is_file and start:sub(-1) == "/"
    return insert .. (not is_folder and found.ending or "")
  elseif insert ~= "" then
    return insert
  end
  return nil, listing(found.list, terminal.columns())
end

return M
