--- scripts/bench: runs the workloads round by round, alternated with PyTorch's configurations, and
-- writes the tables. Each run is a process of its own, so nothing of one disturbs the next. On a GPU PyTorch's
-- runs of a workload share one that waits between them: compiling would take minutes each time. What is
-- measured is printed and written as it comes; after --budget seconds no further run begins.

local now = require "mascon.ffi".now
local begun_at = now()

local on_gpu = false
for i = 1, #arg do
  on_gpu = on_gpu or arg[i] == "--device" and (arg[i + 1] or ""):match "^cuda" ~= nil
end
local args = { torch = nil, rounds = on_gpu and 3 or 5, seconds = on_gpu and 1 or 2, threads = 2, device = "cpu",
  out = "build/bench", batch = 32, size = 224, budget = on_gpu and 420 or math.huge }
local home = arg[0]:match "^(.*)/[^/]*$" or "."
local program = os.getenv "MASCON_PROGRAM" or "build/mascon"
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
if on_gpu then
  torch_configs = { "eager", "channels_last", "graphed", "compiled_graphs" }
  inference_configs = torch_configs
end
local known = {
  w1 = { title = "W1: training step of SimpleCNN, batch " .. args.batch, torch = torch_configs },
  w2 = { title = "W2: training step of CustomCNN, batch " .. args.batch, torch = torch_configs },
  w3 = { title = "W3: inference of ResNet-50, batch " .. args.batch, torch = inference_configs },
  w3_head = { title = "W3: training of the head of a frozen ResNet-50, batch " .. args.batch, torch = torch_configs },
  w4_custom = { title = "W4: inference of CustomCNN, one picture", torch = inference_configs },
  w4 = { title = "W4: inference of SimpleCNN, one picture", torch = inference_configs },
  epoch = { title = "epoch of the lecture's script, loader included", torch = { "workers0", "workers2" },
    rounds = 2 },
  accuracy = { title = "accuracy: ten epochs of SimpleCNN" },
  accuracy_custom = { title = "accuracy: ten epochs of CustomCNN" },
  start = { title = "process start to require \"mascon\"", torch = { "import" } },
}
for _, base in ipairs { "w1", "w2", "w3", "w3_head" } do
  local plain = known[base]
  known[base .. "_bf16"] = { title = plain.title .. ", bfloat16 by autocast", torch = plain.torch }
end
if #chosen == 0 and on_gpu then
  chosen = { "w1", "w2", "w3_bf16", "accuracy", "accuracy_custom", "w3", "w1_bf16", "w2_bf16" }
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
  local whole = type(command) == "string" and command:match "^time:(.*)$"
  if whole then
    local begun = now()
    os.execute(whole)
    local ms = (now() - begun) * 1e3
    return ms, ms
  end
  local text = type(command) == "function" and command() or output_of(command)
  local best, median = text:match "ms ([%d.]+) ([%d.]+)"
  if not best then
    io.stderr:write("bench: no result from ", type(command) == "string" and command or "PyTorch", "\n", text, "\n")
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

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- Before a command of PyTorch's: without a bundle's libraries.
local function outside()
  local path = os.getenv "MASCON_OUTER_LIBRARY_PATH"
  return path and "env LD_LIBRARY_PATH=" .. quoted(path) .. " " or ""
end

--- Before a command of mascon's: the CUDA libraries of that PyTorch, so that both sides use the same.
local libraries = ""
if on_gpu and args.torch and not os.getenv "MASCON_CUDA_LIBRARIES" then
  local found = output_of(outside() .. args.torch .. [[ -c 'import glob, sys
print(":".join(f for p in sys.path for f in glob.glob(p + "/nvidia/*/lib")))' 2>/dev/null]]):match "^[^\n]+"
  libraries = found and "MASCON_CUDA_LIBRARIES=" .. quoted(found) .. " " or ""
end

local function mascon_command(name)
  if name == "start" then
    return ([[time:%s -e 'require "mascon"']]):format(quoted(program))
  end
  return ("%s%s %s/workloads.lua %s %g %d %s %d %d"):format(libraries, quoted(program), quoted(home), name,
    args.seconds, args.threads, args.device, args.batch, args.size)
end

local function torch_command(name, config)
  if name == "start" then
    return "time:" .. args.torch .. " -c 'import torch'"
  end
  return ("%s%s %s/torch_workloads.py %s %s %g %d %s %d %d 2>/dev/null"):format(outside(), args.torch,
    quoted(home), name, config, args.seconds, args.threads, args.device, args.batch, args.size)
end

--- A PyTorch that prepares each configuration once: ask(name, config) gives its answer, nil once it has gone.
local function serve()
  local pipe = os.tmpname()
  os.remove(pipe)
  os.execute("mkfifo " .. pipe)
  local limit = args.budget < math.huge and ("timeout %d "):format(args.budget + 60) or ""
  local writer = io.popen(("%s%s >%s"):format(limit, torch_command("serve", "all"), pipe), "w")
  local reader = assert(io.open(pipe, "r"))
  os.remove(pipe)
  local server = {}
  function server.ask(name, config)
    writer:write(("%s %s %g\n"):format(name, config, args.seconds))
    writer:flush()
    return reader:read "*l" or "PyTorch has ended"
  end
  function server.close()
    writer:close()
    reader:close()
  end
  return server
end

local function median(list)
  table.sort(list)
  return list[math.ceil(#list / 2)]
end

local function runners_of(name, server)
  local runners = { { label = "mascon", command = mascon_command(name) } }
  if on_gpu and known[name].torch then
    runners[2] = { label = "mascon compiled", command = mascon_command(name .. "_compiled") }
  end
  for _, config in ipairs(args.torch and known[name].torch or {}) do
    runners[#runners + 1] = { label = "PyTorch " .. config, slow = server and config == "compiled_graphs",
      command = server and function() return server.ask(name, config) end or torch_command(name, config) }
  end
  for _, runner in ipairs(runners) do
    runner.best, runner.median = {}, {}
  end
  return runners
end

--- Seconds until no further run may begin.
local function left()
  return args.budget - (now() - begun_at)
end

local function run_round(name, runners)
  for _, runner in ipairs(runners) do
    local known_cost = #runner.median > 0
    if not runner.failed and left() > ((runner.slow and not known_cost) and 60 or 0) then
      local best, mid = run(runner.command)
      runner.failed = not best
      if best then
        runner.best[#runner.best + 1], runner.median[#runner.median + 1] = best, mid
        print(("%-12s %-24s best %.3f ms, median %.3f ms"):format(name, runner.label, best, mid))
        io.flush()
      end
    end
  end
end

local function bench(name)
  local workload = known[name]
  local server = on_gpu and args.torch and workload.torch and serve()
  local runners = runners_of(name, server)
  local results = { name = name, title = workload.title, rows = {} }
  for round = 1, workload.rounds or args.rounds do
    if left() <= 0 then
      results.cut = ("the time (--budget %g) was over after %d of %d rounds"):format(args.budget, round - 1,
        workload.rounds or args.rounds)
      break
    end
    run_round(name, runners)
    io.stderr:write((".%s %d/%d\n"):format(name, round, workload.rounds or args.rounds))
  end
  if server then
    server.close()
  end
  results.load = load_average()
  for _, runner in ipairs(runners) do
    if #runner.median > 0 then
      table.sort(runner.best)
      results.rows[#results.rows + 1] = { label = runner.label, best = runner.best[1],
        median = median(runner.median) }
    end
  end
  return results
end

--- Trains as the examples do, or where there is no data set on made-up pictures, beside the CPU.
local function accuracy(name)
  local script = name == "accuracy" and "simple_cnn" or "custom_cnn"
  local command = ("%s %s/accuracy.lua %s %s"):format(quoted(program), quoted(home), script, args.device)
  if os.getenv "MASCON_DATA" then
    command = ("%s %s/../../examples/%s.lua --device %s --out %s"):format(quoted(program), quoted(home), script,
      args.device, quoted(args.out))
  end
  local results = { name = name, title = known[name].title, rows = {}, load = load_average(), text = {} }
  if left() <= 30 then
    results.cut = "left out: the time was over"
    return results
  end
  local begun = now()
  local pipe = io.popen(("%stimeout %d %s 2>&1"):format(libraries, math.min(left(), 1e6), command))
  for line in pipe:lines() do
    if not line:find "\r" then -- not of the progress bar
      print(line)
      results.text[#results.text + 1] = line
    end
  end
  pipe:close()
  results.text[#results.text + 1] = ("%.1f s"):format(now() - begun)
  return results
end

local function markdown(all)
  local lines = { ("%s, %d threads, device %s"):format(processor(), args.threads, args.device), "" }
  local gpu = on_gpu and graphics_processor()
  if gpu then
    lines[1] = lines[1] .. ", " .. gpu
  end
  for _, results in ipairs(all) do
    lines[#lines + 1] = ("### %s\n"):format(results.title)
    for _, line in ipairs(results.text or {}) do
      lines[#lines + 1] = "    " .. line
    end
    local own = results.rows[1]
    if own then
      lines[#lines + 1] = "| | best ms | median ms | median against mascon |"
      lines[#lines + 1] = "|---|---|---|---|"
      for _, row in ipairs(results.rows) do
        lines[#lines + 1] = ("| %s | %.3f | %.3f | %.2fx |"):format(row.label, row.best, row.median,
          row.median / own.median)
      end
    end
    if results.cut then
      lines[#lines + 1] = "\n" .. results.cut
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

os.execute("mkdir -p " .. quoted(args.out))
local function write(file, text)
  local f = assert(io.open(args.out .. "/" .. file, "w"))
  f:write(text)
  f:close()
end

for _, name in ipairs(chosen) do
  if not known[name] then
    io.stderr:write("bench: unknown workload ", name, "\n")
    os.exit(2)
  end
end
local all, measured = {}, false
for _, name in ipairs(chosen) do
  local results = (name:match "^accuracy" and accuracy or bench)(name)
  all[#all + 1] = results
  measured = measured or #results.rows > 0 or results.text ~= nil
  write("bench.json", json(all)) -- whole after each workload: a run that is stopped keeps what it has
  write("bench.md", markdown(all))
end
print(markdown(all))
if not measured then
  os.exit(1, true)
end
