--- mascon.tqdm: a progress bar around a loop.
--   for X, y in mascon.tqdm(loader, {desc = "epoch 1"}) do … end
--   for i in mascon.tqdm(10) do … end
-- Bars go to standard error: one line that is redrawn on a terminal, one plain line per tenth elsewhere.

local layer = require "mascon.ffi"
local options = require "mascon.options"
local output = require "mascon.output"

local WIDTH = 20        -- characters of the bar itself
local CLEAR = "\27[K"   -- clears the rest of a terminal's line

---@class mascon.tqdm
local Bar = {}
Bar.__index = Bar

-- Text ----------------------------------------------------------------------------------------------

--- Seconds as 02:07 or 1:02:07; "?" where unknown.
local function clock(seconds)
  if not seconds or seconds ~= seconds or seconds == math.huge then
    return "?"
  end
  local s = math.floor(seconds + 0.5)
  if s >= 3600 then
    return ("%d:%02d:%02d"):format(s / 3600, math.floor(s / 60) % 60, s % 60)
  end
  return ("%02d:%02d"):format(s / 60, s % 60)
end

local function rate_text(rate, unit)
  if not rate or rate ~= rate or rate == math.huge then
    return "?" .. unit .. "/s"
  elseif rate > 0 and rate < 1 then
    return ("%.2fs/%s"):format(1 / rate, unit)
  end
  return (rate < 100 and "%.2f%s/s" or "%.0f%s/s"):format(rate, unit)
end

local function postfix_text(values)
  if type(values) == "string" then
    return values
  end
  local names, parts = {}, {}
  for name in pairs(values) do
    names[#names + 1] = tostring(name)
  end
  table.sort(names)
  for i, name in ipairs(names) do
    local v = values[name]
    parts[i] = name .. "=" .. (type(v) == "number" and ("%.4g"):format(v) or tostring(v))
  end
  return table.concat(parts, ", ")
end

--- The line as it stands now, without control characters.
---@return string
function Bar:text()
  local total, n = self.total, self.n
  local elapsed = (self.last or 0) - (self.started or 0)
  local rate = elapsed > 0 and n / elapsed or nil
  local head = self.desc and self.desc .. ": " or ""
  local tail = self.postfix and ", " .. postfix_text(self.postfix) or ""
  if not total then
    return ("%s%d%s [%s, %s%s]"):format(head, n, self.unit, clock(elapsed), rate_text(rate, self.unit),
      tail)
  end
  local part = total > 0 and math.min(n / total, 1) or 1
  local left = rate and rate > 0 and math.max(total - n, 0) / rate or nil
  local times = ("[%s<%s, %s%s]"):format(clock(elapsed), clock(left), rate_text(rate, self.unit), tail)
  if not self.terminal then
    return ("%s%3.0f%% %d/%d %s"):format(head, math.floor(100 * part), n, total, times)
  end
  local full = math.floor(part * WIDTH)
  return ("%s%3.0f%%|%s%s| %d/%d %s"):format(head, math.floor(100 * part), ("#"):rep(full),
    (" "):rep(WIDTH - full), n, total, times)
end

-- Drawing -------------------------------------------------------------------------------------------

local function draw(self, ending)
  if self.disable then
    return
  end
  local stream = self.file
  if self.terminal then
    stream:write("\r", self:text(), CLEAR, ending and "\n" or "")
  else
    stream:write(self:text(), "\n")
  end
  stream:flush()
  self.drawn, self.drawn_at = self.n, self.last
end

local function start(self)
  self.n, self.started, self.drawn, self.tenth = 0, layer.now(), nil, 0
  self.last, self.drawn_at, self.open = self.started, self.started, true
  if self.terminal then
    draw(self)
  end
end

--- Counts k more steps.
---@param k? integer
function Bar:update(k)
  if not self.open then
    start(self)
  end
  self.n = self.n + (k or 1)
  self.last = layer.now()
  if self.terminal then
    if self.last - self.drawn_at >= self.mininterval then
      draw(self)
    end
  elseif self.total and self.total > 0 then
    local tenth = math.floor(10 * self.n / self.total)
    if tenth > self.tenth and self.n < self.total then -- the last line is drawn by close
      self.tenth = tenth
      draw(self)
    end
  end
end

--- Shows values behind the times: bar:set_postfix{loss = l}, in the order of their names.
---@param values table|string
function Bar:set_postfix(values)
  if type(values) ~= "table" and type(values) ~= "string" then
    options.fail("set_postfix", ("argument 1 is %s; expected a table such as {loss = l}"):format(
      options.show(values)))
  end
  self.postfix = values
end

---@param desc string
function Bar:set_description(desc)
  options.check("set_description", { "desc", nil, "string" }, desc)
  self.desc = desc
end

--- Ends the bar. The loop's end does it; call it after leaving a loop early.
function Bar:close()
  if not self.open then
    return
  end
  self.open = false
  self.next, self.state, self.control = nil, nil, nil
  if self.disable then
    return
  elseif self.terminal and not self.leave then
    self.file:write("\r", CLEAR)
    self.file:flush()
  elseif self.terminal or self.drawn ~= self.n then
    draw(self, true)
  end
end

--- Prints a line of text without tearing the bar.
---@param line string
function Bar:write(line)
  if self.terminal and self.open and not self.disable then
    self.file:write("\r", CLEAR)
    self.file:flush()
  end
  output.stdout:write(line, "\n"):flush()
  if self.terminal and self.open then
    draw(self)
  end
end

-- Iterating -----------------------------------------------------------------------------------------

local function count(limit, i)
  i = i + 1
  if i <= limit then
    return i
  end
end

local function values_of(self)
  local list, i = self.source, 0
  return function()
    i = i + 1
    return list[i]
  end
end

local function is_callable(v)
  local mt = getmetatable(v)
  return type(v) == "function" or type(mt) == "table" and mt.__call ~= nil
end

--- Begins an iteration of the source.
local function begin(self)
  local source = self.source
  if type(source) == "number" then
    self.next, self.state, self.control = count, source, 0
  elseif type(source) == "function" then
    self.next = source
  elseif is_callable(source) then
    self.next, self.state, self.control = source()
  else
    self.next = values_of(self)
  end
  start(self)
end

local function deliver(self, first, ...)
  if first == nil then
    self.last = layer.now()
    self:close()
    return nil
  end
  self.control = first
  self.waiting = true
  return first, ...
end

function Bar:__call()
  if self.waiting then -- the body of the loop ran to its end
    self.waiting = false
    self:update(1)
  end
  if not self.next then
    begin(self)
  end
  return deliver(self, self.next(self.state, self.control))
end

local function length_of(source)
  if type(source) == "number" then
    return math.max(0, math.floor(source))
  elseif type(source) == "table" and type(source.len) == "function" then
    return source:len()
  elseif type(source) == "table" and not is_callable(source) then
    return #source
  end
end

--- A bar over a number (1..n), a list, a data loader or an iterator function.
---@param source? any without one, call bar:update()
---@param given? table desc, total, unit = "it", leave = true, disable = false, mininterval = 0.1
---@return mascon.tqdm
return function(source, given)
  if type(source) == "table" and getmetatable(source) == nil and given == nil and #source == 0
    and next(source) ~= nil then
    source, given = nil, source -- options alone
  end
  local kind = type(source)
  if source ~= nil and kind ~= "number" and kind ~= "table" and kind ~= "function" then
    options.fail("tqdm", ("argument 1 is %s; expected a number, a list or a data loader"):format(
      options.show(source)))
  end
  local o = options.read("tqdm", given, {
    { "desc", nil, "string" }, { "total", nil, "integer", min = 0 }, { "unit", "it", "string" },
    { "leave", true, "boolean" }, { "disable", false, "boolean" },
    { "mininterval", 0.1, "number", min = 0 }, { "file", nil, "any" },
  })
  local self = setmetatable(o, Bar)
  self.source, self.n, self.waiting = source, 0, false
  self.total = self.total or length_of(source)
  self.terminal = self.file == nil and not output.is_redirected() and layer.isatty(2)
  self.file = self.file or output.stderr
  return self
end
