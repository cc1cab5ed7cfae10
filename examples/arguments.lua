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
}

local function usage(script)
  local lines = { ("usage: %s [OPTION VALUE]..."):format(script) }
  for _, field in ipairs(common) do
    local standard = field[2]
    local shown = standard ~= "" and standard ~= 0 and (" (default: %s)"):format(standard) or ""
    lines[#lines + 1] = ("  --%-12s %s%s"):format(field[1], field[3], shown)
  end
  lines[#lines + 1] = "  --help         this text"
  return table.concat(lines, "\n")
end

local function stop(script, message)
  io.stderr:write(script, ": ", message, "\n", usage(script), "\n")
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

--- Reads the script's arguments; --help prints the options and ends the program.
---@param args string[] the global `arg`
---@param defaults? table values that differ from the usual ones
---@return table
function M.read(args, defaults)
  local script = (args[0] or "example"):match "[^/]*$"
  local values, known = {}, {}
  for _, field in ipairs(common) do
    if defaults and defaults[field[1]] ~= nil then
      field[2] = defaults[field[1]]
    end
    values[field[1]], known[field[1]] = field[2], true
  end
  local i = 1
  while i <= #args do
    local name, value = args[i]:match "^%-%-([%w_-]+)=(.*)$"
    name = name or args[i]:match "^%-%-([%w_-]+)$"
    name = name and name:gsub("-", "_")
    if name == "help" or args[i] == "-h" then
      print(usage(script))
      os.exit(0, true)
    elseif not name or not known[name] then
      stop(script, ("unknown option %s"):format(args[i]))
    end
    if not value then
      i = i + 1
      value = args[i]
    end
    if not value then
      stop(script, ("--%s needs a value"):format(name))
    end
    local check = checks[name]
    if check then
      local v = tonumber(value)
      local good, expected = check(v)
      if not good then
        stop(script, ("--%s is %s; expected %s"):format(name, value, expected))
      end
      value = v
    end
    values[name] = value
    i = i + 1
  end
  if values.data == "" then
    values.data = nil
  end
  local made = os.execute("mkdir -p -- '" .. values.out:gsub("'", "'\\''") .. "'")
  if made ~= 0 and made ~= true then -- before hours of training, not after
    stop(script, ("the folder %s cannot be made"):format(values.out))
  end
  return values
end

return M
