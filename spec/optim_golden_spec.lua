-- Optimizers, gradient clipping and schedules against PyTorch, from the file that scripts/golden/optim.py
-- cut: trajectories of 20 steps, in float64, in float32 and on the reference kernels.
local mascon = require "mascon"
local layer = require "mascon.ffi"
local nn, optim = mascon.nn, mascon.optim

local tensors, info = mascon.load "spec/golden/optim.safetensors"

local function description(key)
  return assert(loadstring(info.metadata[key], "=" .. key))()
end

local ways = {
  { name = "float64", dtype = "float64", allowed = 1e-12 },
  { name = "float32", dtype = "float32", allowed = 1e-5 },
  { name = "float32, reference kernels", dtype = "float32", allowed = 1e-5, reference = true },
}

local function with_kernels(reference, fn)
  layer.C.mascon_testing_reference(reference and 1 or 0)
  local good, err = pcall(fn)
  layer.C.mascon_testing_reference(0)
  if not good then
    error(err, 0)
  end
end

local function values(t)
  return t:detach():to("float64"):reshape(-1):totable()
end

--- least is the smallest magnitude an error is measured by.
local function assert_near(want, got, allowed, what, least)
  for i, v in ipairs(want) do
    local g = got[i]
    local close = math.abs(v - g) <= allowed * math.max(least or 1, math.abs(v))
    if not close then -- also where one is NaN
      error(("%s: value %d is %.17g, PyTorch has %.17g"):format(what, i, g, v), 0)
    end
  end
end

local function text(o)
  local parts = {}
  for k, v in pairs(o) do
    if type(v) == "table" then
      v = type(v[1]) == "table" and "..." or table.concat(v, "/")
    end
    parts[#parts + 1] = k .. "=" .. tostring(v)
  end
  table.sort(parts)
  return table.concat(parts, " ")
end

--- The groups of a case: the second parameter has options of its own.
local function optimizer_of(name, params, options, second)
  local group = { params = { params[2] } }
  for k, v in pairs(second or {}) do
    group[k] = v
  end
  return optim[name]({ { params = { params[1] } }, group }, options)
end

describe("20 steps of", function()
  for _, case in ipairs(description "optimizers") do
    for _, way in ipairs(ways) do
      it(("%s %s | %s in %s"):format(case.name, text(case.options), text(case.second), way.name), function()
        with_kernels(way.reference, function()
          local params, grads, paths = {}, {}, {}
          for i = 1, 2 do
            params[i] = nn.Parameter(tensors[case.start[i]]:to(way.dtype):clone())
            grads[i] = tensors[case.grads[i]]:to(way.dtype)
            paths[i] = tensors[case.paths[i]]
          end
          local optimizer = optimizer_of(case.name, params, case.options, case.second)
          for step = 1, 20 do
            for i = 1, 2 do
              local missing = i == 2 and (step <= case.late or step == 13)
              params[i].grad = not missing and grads[i][step]:clone() or nil
            end
            optimizer:step()
            if step == 11 then -- and goes on from a state dict
              local other = optimizer_of(case.name, params, case.options, case.second)
              other:load_state_dict(optimizer:state_dict())
              optimizer = other
            end
            for i = 1, 2 do
              assert_near(values(paths[i][step]), values(params[i]), way.allowed,
                ("step %d of parameter %d"):format(step, i))
            end
          end
        end)
      end)
    end
  end
end)

describe("clip_grad_norm_", function()
  for _, case in ipairs(description "clips") do
    for _, way in ipairs(ways) do
      it(("has PyTorch's values: max_norm=%g norm_type=%g in %s"):format(case.max_norm, case.norm_type,
        way.name), function()
        with_kernels(way.reference, function()
          local params = {}
          for i = 1, 2 do
            local g = tensors[case.grads[i]]:to(way.dtype)
            params[i] = nn.Parameter(mascon.zeros_like(g))
            params[i].grad = g:clone()
          end
          local norm = nn.utils.clip_grad_norm_(params, case.max_norm, { norm_type = case.norm_type })
          assert_near({ case.norm }, { norm:item() }, way.allowed, "norm")
          for i = 1, 2 do
            assert_near(values(tensors[case.after[i]]), values(params[i].grad), way.allowed, "gradient")
          end
        end)
      end)
    end
  end
end)

describe("the schedule", function()
  local watched = description "watched"

  local function schedule_of(case, optimizer)
    local given = {}
    for k, v in pairs(case.options) do
      given[k] = v
    end
    if case.name == "LambdaLR" then
      given.lr_lambda = function(n) return 1 / (1 + n) end
    elseif case.parts then
      given.schedulers = {}
      for i, part in ipairs(case.parts) do
        given.schedulers[i] = schedule_of(part, optimizer)
      end
    end
    return optim.lr_scheduler[case.name](optimizer, given)
  end

  for _, case in ipairs(description "schedules") do
    for _, how in ipairs { "at one go", "through a state dict at every step" } do
      it(("%s %s has PyTorch's rates, %s"):format(case.name, text(case.options), how), function()
        local function new()
          local params = { nn.Parameter(mascon.zeros { 1 }), nn.Parameter(mascon.zeros { 1 }) }
          local optimizer = optimizer_of(case.optimizer, params, { lr = 0.1 }, { lr = 0.03 })
          return optimizer, schedule_of(case, optimizer)
        end
        local optimizer, scheduler = new()
        local rates, momenta = {}, {}
        local function note()
          for _, group in ipairs(optimizer.param_groups) do
            rates[#rates + 1] = group.lr
            momenta[#momenta + 1] = group.betas and group.betas[1] or group.momentum
          end
        end
        note()
        for step = 1, #case.rates / 2 - 1 do
          if how ~= "at one go" then
            local path = os.tmpname()
            mascon.save(path, { optimizer = optimizer:state_dict(), scheduler = scheduler:state_dict() })
            local saved = mascon.load(path)
            os.remove(path)
            optimizer, scheduler = new()
            optimizer:load_state_dict(saved.optimizer)
            scheduler:load_state_dict(saved.scheduler)
          end
          scheduler:step(case.name == "ReduceLROnPlateau" and watched[step] or nil)
          note()
          assert.same({ optimizer.param_groups[1].lr, optimizer.param_groups[2].lr },
            scheduler:get_last_lr())
        end
        assert.equal(#case.rates, #rates)
        assert_near(case.rates, rates, 1e-14, "rate", 1e-3)
        if case.momenta then
          assert_near(case.momenta, momenta, 1e-14, "momentum")
        end
      end)
    end
  end
end)
