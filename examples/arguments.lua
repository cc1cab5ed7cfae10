--- Options of the examples: --epochs 10 --out DIR and so on.

local M = {}

local common = {
  { "epochs", 10, "passes over the training pictures" },
  { "batch_size", 32, "pictures per step" },
  { "lr", 0.001, "learning rate" },
  { "data", "", "folder of the data set (default: MASCON_DATA, else ./data)" },
  { "device", "auto", "auto, cpu, cuda or cuda:1" },
  { "seed", 42, "start of the random numbers" },
  { "threads", 0, "threads for computing (default: all cores)" },
  { "workers", 2, "threads that prepare batches" },
  { "out", ".", "folder for pictures; made where it is missing" },
  { "steps", 0, "stop each pass after so many batches (default: all)" },
  { "autocast", false, "convolutions and products in bfloat16" },
}

local fields -- those of this script

local function usage(script, rest)
  local lines = { ("usage: %s [OPTION VALUE]...%s"):format(script, rest and " " .. rest or "") }
  for _, field in ipairs(fields) do
    local standard = field[2]
    local shown = standard and standard ~= "" and standard ~= 0 and (" (default: %s)"):format(standard) or ""
    lines[#lines + 1] = ("  --%-15s %s%s"):format(field[1], field[3], shown)
  end
  lines[#lines + 1] = "  --help            this text"
  return table.concat(lines, "\n")
end

local function stop(script, message, rest)
  io.stderr:write(script, ": ", message, "\n", usage(script, rest), "\n")
  os.exit(2, true)
end

local function whole(v, low)
  return v and v == math.floor(v) and v >= low and v < 2 ^ 53
end

local checks = {
  epochs = function(v) return whole(v, 1), "a whole number of 1 or more" end,
  batch_size = function(v) return whole(v, 1), "a whole number of 1 or more" end,
  seed = function(v) return whole(v, 0), "a whole number of 0 or more" end,
  threads = function(v) return whole(v, 0), "a whole number of 0 or more" end,
  workers = function(v) return whole(v, 0), "a whole number of 0 or more" end,
  steps = function(v) return whole(v, 0), "a whole number of 0 or more" end,
  lr = function(v) return v and v >= 0 and v < math.huge, "a number of 0 or more" end,
}

--- The options that a script takes: the common ones (or those that more.only names) and its own.
local function choose_fields(defaults, more)
  fields = {}
  local only
  for _, name in ipairs(more.only or {}) do
    only = only or {}
    only[name] = true
  end
  for _, field in ipairs(common) do
    if defaults and defaults[field[1]] ~= nil then
      field[2] = defaults[field[1]]
    end
    if not only or only[field[1]] then
      fields[#fields + 1] = field
    end
  end
  for _, field in ipairs(more) do
    fields[#fields + 1] = field
  end
end

--- Reads the script's arguments; --help prints the options and ends the program.
---@param args string[] the global `arg`
---@param defaults? table values that differ from the usual ones
---@param more? table options of this script: a list of {name, default, text}; a default of false makes
---  a flag without value, a number as default asks for a whole number of 0 or more; only: the names of
---  the common options that it takes (otherwise all); rest: what other arguments are called
---@return table values by name; the other arguments in its array part
function M.read(args, defaults, more)
  more = more or {}
  local script = (args[0] or "example"):match "[^/]*$"
  local values, known = {}, {}
  choose_fields(defaults, more)
  for _, field in ipairs(fields) do
    values[field[1]], known[field[1]] = field[2], field
  end
  local function take(i)
    local name, value = args[i]:match "^%-%-([%w_-]+)=(.*)$"
    name = name or args[i]:match "^%-%-([%w_-]+)$"
    name = name and name:gsub("-", "_")
    if name == "help" or args[i] == "-h" then
      print(usage(script, more.rest))
      os.exit(0, true)
    elseif more.rest and not args[i]:find "^%-" then
      values[#values + 1] = args[i]
      return i + 1
    elseif not name or not known[name] then
      stop(script, ("unknown option %s"):format(args[i]), more.rest)
    elseif known[name][2] == false then
      if value then
        stop(script, ("--%s takes no value"):format(name), more.rest)
      end
      values[name] = true
      return i + 1
    end
    if not value then
      i = i + 1
      value = args[i]
    end
    if not value then
      stop(script, ("--%s needs a value"):format(name), more.rest)
    end
    local check = checks[name] or type(known[name][2]) == "number" and checks.steps
    if check then
      local v = tonumber(value)
      local good, expected = check(v)
      if not good then
        stop(script, ("--%s is %s; expected %s"):format(name, value, expected), more.rest)
      end
      value = v
    end
    values[name] = value
    return i + 1
  end
  local i = 1
  while i <= #args do
    i = take(i)
  end
  if values.data == "" then
    values.data = nil
  end
  if not values.out then
    return values
  end
  local made = os.execute("mkdir -p -- '" .. values.out:gsub("'", "'\\''") .. "'")
  if made ~= 0 and made ~= true then -- before hours of training, not after
    stop(script, ("the folder %s cannot be made"):format(values.out))
  end
  return values
end

return M
