--- CSVLogger: one line of figures for each call, in a file that spreadsheets read.

local layer = require "mascon.ffi"
local options = require "mascon.options"
local files = require "mascon.utils.files"

---@class mascon.utils.CSVLogger
---@field path string
local Logger = {}
Logger.__index = Logger

--- The names of a first line.
local function read_head(line)
  local names, at = {}, 1
  while at <= #line + 1 do
    local quoted, after = line:match('^"(.-)"()', at)
    while quoted and line:sub(after, after) == '"' do -- "" inside stands for one "
      local more, further = line:match('^"(.-)"()', after)
      if not more then
        break
      end
      quoted, after = quoted .. '"' .. more, further
    end
    if quoted then
      names[#names + 1], at = quoted, after + 1
    else
      local plain = line:match("^[^,]*", at)
      names[#names + 1], at = plain, at + #plain + 1
    end
  end
  return names
end

--- A file of comma-separated values. The first line has the names: those given, or those of the first
--- row in the order of their letters (epoch and step first).
---   local log = mascon.utils.CSVLogger "run.csv"     log:write{epoch = 1, loss = 0.5}
---@param path string
---@param given? table fields (a list of names), append = false (goes on with an existing file)
---@return mascon.utils.CSVLogger
local function CSVLogger(path, given)
  options.check("CSVLogger", { "path", nil, "string" }, path)
  local o = options.read("CSVLogger", given, {
    { "fields", nil, "table" }, { "append", false, "boolean" },
  })
  local self = setmetatable({ path = path, started = false }, Logger)
  if o.fields then
    for i, name in ipairs(o.fields) do
      if type(name) ~= "string" then
        options.fail("CSVLogger", ("field %d is %s; expected a string"):format(i, options.show(name)))
      end
    end
    self.fields = { unpack(o.fields) }
  end
  if o.append then
    local old = io.open(path, "rb")
    local head = old and old:read "*l"
    if old then
      old:close()
    end
    if head and head ~= "" then
      local names = read_head((head:gsub("\r$", "")))
      if self.fields and table.concat(self.fields, "\0") ~= table.concat(names, "\0") then
        options.fail("CSVLogger", ("%s has the fields %s"):format(path, table.concat(names, ", ")),
          "the fields of an existing file cannot be changed")
      end
      self.fields, self.started = names, true
    end
  end
  self.file = files.open("CSVLogger", path, self.started and "ab" or "wb")
  return self
end

local function cell(v)
  if v == nil then
    return ""
  elseif layer.is_tensor(v) then
    v = v:item()
  end
  if type(v) == "number" then
    if v ~= v then
      return "nan"
    elseif math.abs(v) == math.huge then
      return v > 0 and "inf" or "-inf"
    end
    local short = ("%.9g"):format(v)
    return tonumber(short) == v and short or ("%.17g"):format(v)
  end
  local s = tostring(v)
  return s:find '[,"\r\n]' and '"' .. s:gsub('"', '""') .. '"' or s
end

local first_names = { epoch = 1, step = 2 }

local function names_of(row)
  local names = {}
  for name in pairs(row) do
    names[#names + 1] = name
  end
  table.sort(names, function(a, b)
    local x, y = first_names[a] or 3, first_names[b] or 3
    if x ~= y then
      return x < y
    end
    return a < b
  end)
  return names
end

local function write_line(self, values)
  files.write(self.file, "CSVLogger", self.path, table.concat(values, ","), "\n")
end

--- Adds a line; a field without a value stays empty. What was written survives a crash of the script.
---@param row table<string, number|string|boolean|mascon.Tensor>
function Logger:write(row)
  if not self.file then
    options.fail("CSVLogger", ("the logger of %s is closed"):format(self.path))
  elseif type(row) ~= "table" or getmetatable(row) ~= nil then
    options.fail("CSVLogger", ("argument 1 is %s; expected a table such as {epoch = 1, loss = 0.5}"):format(
      options.show(row)))
  end
  for name in pairs(row) do
    if type(name) ~= "string" then
      options.fail("CSVLogger", ("%s is no name of a field"):format(options.show(name)))
    end
  end
  self.fields = self.fields or names_of(row)
  local known, values = {}, {}
  for i, name in ipairs(self.fields) do
    known[name], values[i] = true, cell(row[name])
  end
  for name in pairs(row) do
    if not known[name] then
      options.unknown("CSVLogger", name, { unpack(self.fields) })
    end
  end
  if not self.started then
    local head = {}
    for i, name in ipairs(self.fields) do
      head[i] = cell(name)
    end
    write_line(self, head)
    self.started = true
  end
  write_line(self, values)
  files.check("CSVLogger", self.path, self.file:flush())
  return self
end

--- Ends the file; a second call does nothing.
function Logger:close()
  local file = self.file
  self.file = nil
  if file then
    files.check("CSVLogger", self.path, file:close())
  end
end

return CSVLogger
