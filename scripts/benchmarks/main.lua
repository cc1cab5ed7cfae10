--- scripts/bench: runs the workloads round by round, alternated with PyTorch's configurations, and
-- writes the tables. Each run is a process of its own, so nothing of one disturbs the next.

local now = require "mascon.ffi".now

local args = { torch = nil, rounds = 5, seconds = 2, threads = 2, device = "cpu", out = "build/bench",
  batch = 32, size = 224 }
local chosen = {}
do
  local i = 1
  while arg[i] do
    local name = arg[i]:match "^%-%-(%w+)$"
    if not name then
      chosen[#chosen + 1] = arg[i]
    elseif args[name] == nil and name ~= "torch" then
      io.stderr:write("bench: unknown option ", arg[i], "\n")
      os.exit(2)
    else
      i = i + 1
      args[name] = type(args[name]) == "number" and tonumber(arg[i]) or arg[i]
    end
    i = i + 1
  end
end

local torch_configs = { "eager", "channels_last", "compiled" }
local inference_configs = { "eager", "channels_last", "compiled", "frozen" }
local known = {
  w1 = { title = "W1: training step of SimpleCNN, batch " .. args.batch, torch = torch_configs },
  w2 = { title = "W2: training step of CustomCNN, batch " .. args.batch, torch = torch_configs },
  w3 = { title = "W3: inference of ResNet-50, batch " .. args.batch, torch = inference_configs },
  w3_head = { title = "W3: training of the head of a frozen ResNet-50, batch " .. args.batch, torch = torch_configs },
  w4_custom = { title = "W4: inference of CustomCNN, one picture", torch = inference_configs },
  w4 = { title = "W4: inference of SimpleCNN, one picture", torch = inference_configs },
  epoch = { title = "epoch of the lecture's script, loader included", torch = { "workers0", "workers2" },
    rounds = 2 },
  start = { title = "process start to require \"mascon\"", torch = { "import" } },
}
local on_gpu = args.device:match "^cuda" ~= nil
for _, base in ipairs { "w1", "w2", "w3", "w3_head" } do
  local plain = known[base]
  known[base .. "_bf16"] = { title = plain.title .. ", bfloat16 by autocast", torch = plain.torch }
end
if #chosen == 0 and on_gpu then
  chosen = { "w1", "w2", "w3", "w1_bf16", "w2_bf16", "w3_bf16" }
elseif #chosen == 0 then
  chosen = { "start", "w1", "w2", "w4", "w4_custom" }
  if os.getenv "MASCON_DATA" then
    chosen[#chosen + 1] = "epoch"
  end
end

local function output_of(command)
  local pipe = assert(io.popen(command, "r"))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

--- Best and median milliseconds of one run. "time:COMMAND" is timed as a whole process.
local function run(command)
  local whole = command:match "^time:(.*)$"
  if whole then
    local begun = now()
    os.execute(whole)
    local ms = (now() - begun) * 1e3
    return ms, ms
  end
  local text = output_of(command)
  local best, median = text:match "ms ([%d.]+) ([%d.]+)"
  if not best then
    io.stderr:write("bench: no result from ", command, "\n", text, "\n")
    return nil
  end
  return tonumber(best), tonumber(median)
end

local function load_average()
  local f = io.open "/proc/loadavg"
  local text = f and f:read "*l" or "?"
  if f then
    f:close()
  end
  return text:match "^%S+"
end

local function processor()
  local f = io.open "/proc/cpuinfo"
  local name = f and f:read("*a"):match "model name%s*:%s*([^\n]+)" or "?"
  if f then
    f:close()
  end
  return name
end

--- The name of the GPU and its driver's version; nil where there is none to ask.
local function graphics_processor()
  local text = output_of "nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null"
  local first = text:match "^([^\n]+)"
  return first and "GPU " .. first
end

local function mascon_command(name)
  if name == "start" then
    return [[time:build/mascon -e 'require "mascon"']]
  end
  return ("build/mascon scripts/benchmarks/workloads.lua %s %g %d %s %d %d"):format(name, args.seconds,
    args.threads, args.device, args.batch, args.size)
end

local function torch_command(name, config)
  if name == "start" then
    return "time:" .. args.torch .. " -c 'import torch'"
  end
  return ("%s scripts/benchmarks/torch_workloads.py %s %s %g %d %s %d %d 2>/dev/null"):format(args.torch,
    name, config, args.seconds, args.threads, args.device, args.batch, args.size)
end

local function median(list)
  table.sort(list)
  return list[math.ceil(#list / 2)]
end

local function bench(name)
  local workload = known[name]
  local runners = { { label = "mascon", command = mascon_command(name), best = {}, median = {} } }
  for _, config in ipairs(args.torch and workload.torch or {}) do
    runners[#runners + 1] = { label = "PyTorch " .. config, command = torch_command(name, config),
      best = {}, median = {} }
  end
  for round = 1, workload.rounds or args.rounds do
    for _, runner in ipairs(runners) do
      if not runner.failed then
        local best, mid = run(runner.command)
        runner.failed = not best
        runner.best[round], runner.median[round] = best, mid
      end
    end
    io.stderr:write((".%s %d/%d\n"):format(name, round, workload.rounds or args.rounds))
  end
  local results = { name = name, title = workload.title, load = load_average(), rows = {} }
  for _, runner in ipairs(runners) do
    if #runner.median > 0 then
      table.sort(runner.best)
      results.rows[#results.rows + 1] = { label = runner.label, best = runner.best[1],
        median = median(runner.median) }
    end
  end
  return results
end

local function markdown(all)
  local lines = { ("%s, %d threads, device %s"):format(processor(), args.threads, args.device), "" }
  local gpu = on_gpu and graphics_processor()
  if gpu then
    lines[1] = lines[1] .. ", " .. gpu
  end
  for _, results in ipairs(all) do
    lines[#lines + 1] = ("### %s"):format(results.title)
    lines[#lines + 1] = ""
    lines[#lines + 1] = "| | best ms | median ms | median against mascon |"
    lines[#lines + 1] = "|---|---|---|---|"
    local own = results.rows[1]
    for _, row in ipairs(results.rows) do
      lines[#lines + 1] = ("| %s | %.3f | %.3f | %.2fx |"):format(row.label, row.best, row.median,
        row.median / own.median)
    end
    lines[#lines + 1] = ("\nload average at the end %s\n"):format(results.load)
  end
  return table.concat(lines, "\n")
end

local function json(all)
  local items = {}
  for _, results in ipairs(all) do
    for _, row in ipairs(results.rows) do
      items[#items + 1] = ('  {"workload": "%s", "runner": "%s", "best_ms": %.6f, "median_ms": %.6f, "load": "%s"}')
        :format(results.name, row.label, row.best, row.median, results.load)
    end
  end
  return "[\n" .. table.concat(items, ",\n") .. "\n]\n"
end

local all = {}
for _, name in ipairs(chosen) do
  if not known[name] then
    io.stderr:write("bench: unknown workload ", name, "\n")
    os.exit(2)
  end
  all[#all + 1] = bench(name)
end
os.execute(("mkdir -p '%s'"):format(args.out))
local function write(file, text)
  local f = assert(io.open(args.out .. "/" .. file, "w"))
  f:write(text)
  f:close()
end
write("bench.json", json(all))
write("bench.md", markdown(all))
print(markdown(all))
