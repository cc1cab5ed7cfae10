-- Schedules, gradient clipping and EarlyStopping: what spec/optim_golden_spec.lua does not compare with
-- PyTorch. Bad arguments, groups, state dicts.
local mascon = require "mascon"
local nn, optim = mascon.nn, mascon.optim
local S = optim.lr_scheduler

local function assert_says(expected, f, ...)
  local good, err = pcall(f, ...)
  assert.is_false(good)
  assert.truthy(tostring(err):find(expected, 1, true), tostring(err))
end

local function sgd(lr)
  return optim.SGD({ nn.Parameter(mascon.zeros { 1 }) }, { lr = lr or 0.1 })
end

describe("a schedule", function()
  it("works on all groups, and on one that came later", function()
    local o = sgd(0.5)
    local s = S.StepLR(o, { step_size = 1, gamma = 0.5 })
    o:add_param_group { params = { nn.Parameter(mascon.zeros { 1 }) }, lr = 4 }
    s:step()
    assert.same({ 0.25, 2 }, s:get_last_lr())
    assert.equal(0.25, o.lr)
    assert.truthy(tostring(s):find("StepLR (after 1 steps: lr = 0.25, 2)", 1, true))
  end)

  it("calls its lambda with the steps taken, from 0, one for each group where there are several", function()
    local o = optim.SGD({ { params = { nn.Parameter(mascon.zeros { 1 }) } },
      { params = { nn.Parameter(mascon.zeros { 1 }) }, lr = 2 } }, { lr = 1 })
    local seen = {}
    local s = S.LambdaLR(o, { lr_lambda = { function(n) seen[#seen + 1] = n return 1 - n / 10 end,
      function() return 0.5 end } })
    s:step()
    s:step()
    assert.same({ 0, 1, 2 }, seen)
    assert.same({ 0.8, 1 }, s:get_last_lr())
    assert.is_nil(s:state_dict().options.lr_lambda)
  end)

  it("with one cycle turns the momentum without touching another group's betas", function()
    local a, b = nn.Parameter(mascon.zeros { 1 }), nn.Parameter(mascon.zeros { 1 })
    local o = optim.Adam({ { params = { a } }, { params = { b } } })
    local s = S.OneCycleLR(o, { max_lr = 1, total_steps = 10, base_momentum = { 0.8, 0.7 },
      max_momentum = { 0.9, 0.95 } })
    assert.same({ 0.9, 0.999 }, o.param_groups[1].betas)
    assert.same({ 0.95, 0.999 }, o.param_groups[2].betas)
    s:step()
    s:step()
    assert.is_true(math.abs(o.param_groups[1].betas[1] - 0.8) < 1e-12)
    assert.is_true(math.abs(o.param_groups[2].betas[1] - 0.7) < 1e-12)
    for _ = 3, 10 do
      s:step()
    end
    assert_says("OneCycleLR: step 11 of a cycle of 10 steps", s.step, s)
    assert.equal(10, s.steps)
  end)

  it("that ends at a rate of 0 does not pass below it by rounding", function()
    for _, steps in ipairs { 4, 5, 10, 16 } do
      local o = sgd(0.1)
      local s = S.LinearLR(o, { end_factor = 0, total_iters = steps })
      for _ = 1, steps + 2 do
        o.param_groups[1].params[1].grad = mascon.ones { 1 }
        o:step()
        s:step()
      end
      assert.is_true(o.lr >= 0 and o.lr < 1e-12)
    end
  end)

  it("takes a tensor as the value to watch", function()
    local s = S.ReduceLROnPlateau(sgd(1), { patience = 0 })
    s:step(mascon.tensor(2))
    s:step(mascon.tensor(3))
    assert.equal(0.1, s:get_last_lr()[1])
    assert_says("ReduceLROnPlateau: step takes the value to watch; it is nil", s.step, s)
  end)

  it("refuses bad arguments", function()
    local o = sgd()
    assert_says("StepLR: argument 1 is a table; expected an optimizer", S.StepLR, {}, { step_size = 1 })
    assert_says("StepLR: step_size is missing", S.StepLR, o)
    assert_says("StepLR: step_size is 0; must be 1 or more", S.StepLR, o, { step_size = 0 })
    assert_says('StepLR: unknown option "gama"', S.StepLR, o, { step_size = 1, gama = 1 })
    assert_says("MultiStepLR: milestones[2] is 3, after 5; they must not fall", S.MultiStepLR, o,
      { milestones = { 5, 3 } })
    assert_says("LinearLR: start_factor is 0; must be above 0", S.LinearLR, o, { start_factor = 0 })
    assert_says("CosineAnnealingLR: T_max is 2.5; expected a whole number", S.CosineAnnealingLR, o,
      { T_max = 2.5 })
    assert_says("LambdaLR: lr_lambda has 2 functions; the optimizer has 1 groups", S.LambdaLR, o,
      { lr_lambda = { print, print } })
    assert_says("LambdaLR: the value of lr_lambda is a nil; expected a number", S.LambdaLR, o,
      { lr_lambda = function() end })
    assert_says("OneCycleLR: total_steps is missing", S.OneCycleLR, o, { max_lr = 1 })
    assert_says("total_steps and epochs or steps_per_epoch are both given", S.OneCycleLR, o,
      { max_lr = 1, total_steps = 5, epochs = 2 })
    assert_says("OneCycleLR: max_lr has 2 values; the optimizer has 1 groups", S.OneCycleLR, o,
      { max_lr = { 1, 2 }, total_steps = 5 })
    assert_says("ReduceLROnPlateau: factor is 1; must be below 1", S.ReduceLROnPlateau, o, { factor = 1 })
    assert_says("SequentialLR: schedulers is empty", S.SequentialLR, o, { schedulers = {}, milestones = {} })
    local step = S.StepLR(o, { step_size = 1 })
    assert_says("1 schedulers and 1 milestones", S.SequentialLR, o, { schedulers = { step }, milestones = { 2 } })
    assert_says("schedulers[1] is ReduceLROnPlateau; expected a scheduler whose step takes no value",
      S.SequentialLR, o, { schedulers = { S.ReduceLROnPlateau(o) }, milestones = {} })
    assert_says("schedulers[1] belongs to another optimizer", S.SequentialLR, sgd(),
      { schedulers = { step }, milestones = {} })
  end)

  it("refuses another one's state, and stays as it was", function()
    local o = sgd()
    local step, cosine = S.StepLR(o, { step_size = 1 }), S.CosineAnnealingLR(o, { T_max = 4 })
    assert_says("CosineAnnealingLR: the state dict is of StepLR", cosine.load_state_dict, cosine,
      step:state_dict())
    local sd = step:state_dict()
    sd.steps = "3"
    assert_says('StepLR: steps is "3"; expected a whole number', step.load_state_dict, step, sd)
    assert_says("StepLR: load_state_dict takes what state_dict gave", step.load_state_dict, step, {})
    assert.equal(0, step.steps)
    local one = S.SequentialLR(o, { schedulers = { step }, milestones = {} })
    local two = S.SequentialLR(o, { schedulers = { step, cosine }, milestones = { 3 } })
    assert_says("SequentialLR: the state dict has 1 schedulers, this one has 2", two.load_state_dict, two,
      one:state_dict())
  end)
end)

describe("nn.utils", function()
  it("leaves parameters without a gradient alone", function()
    local a, b = nn.Parameter(mascon.ones { 2 }), nn.Parameter(mascon.ones { 2 })
    assert.equal(0, nn.utils.clip_grad_norm_({ a, b }, 1):item())
    a.grad = mascon.tensor { 3, 4 }
    assert.equal(5, nn.utils.clip_grad_norm_({ a, b }, 1):item())
    assert.is_true(mascon.allclose(a.grad, mascon.tensor { 0.6, 0.8 }))
    nn.utils.clip_grad_value_({ a, b }, 0.7)
    assert.is_true(mascon.allclose(a.grad, mascon.tensor { 0.6, 0.7 }))
    nn.utils.clip_grad_value_(a, 0.1)
    assert.is_true(mascon.allclose(a.grad, mascon.tensor { 0.1, 0.1 }))
    assert.is_nil(b.grad)
  end)

  it("says when the norm is not finite, if asked", function()
    local a = nn.Parameter(mascon.ones { 2 })
    a.grad = mascon.tensor { 1, 0 / 0 }
    assert_says("clip_grad_norm_: the norm of the gradients is nan", nn.utils.clip_grad_norm_, { a }, 1,
      { error_if_nonfinite = true })
    assert.equal(1, a.grad[1]:item())
  end)

  it("refuses bad arguments", function()
    local model = nn.Linear(1, 1)
    assert_says("clip_grad_norm_: max_norm is -1; must be 0 or more", nn.utils.clip_grad_norm_, {}, -1)
    assert_says("clip_grad_norm_: norm_type is 0; must be above 0", nn.utils.clip_grad_norm_, {}, 1,
      { norm_type = 0 })
    assert_says("hint: model:parameters()", nn.utils.clip_grad_norm_, model, 1)
    assert_says("clip_grad_norm_: parameter 1 is 5; expected a tensor", nn.utils.clip_grad_norm_, { 5 }, 1)
    assert_says("clip_grad_value_: clip_value is a nil; expected a number", nn.utils.clip_grad_value_, {})
  end)
end)

describe("EarlyStopping", function()
  it("stops after so many steps in a row without an improvement", function()
    local s = mascon.EarlyStopping { patience = 2 }
    local answers = {}
    for i, v in ipairs { 3, 2, 2, 1.5, 1.6, 0 / 0, 1 } do
      answers[i] = s:step(v)
    end
    assert.same({ false, false, false, false, false, true, false }, answers)
    assert.equal(1, s.best)
    assert.equal(7, s.best_step)
  end)

  it("asks for an improvement above min_delta, in either direction", function()
    local s = mascon.EarlyStopping { patience = 1, mode = "max", min_delta = 0.1 }
    assert.is_false(s:step(0.5))
    assert.is_true(s:step(0.55))
    assert.is_false(s:step(mascon.tensor(0.75)))
    assert.is_true(s:step(0.8))
  end)

  it("gives the best weights back, which outlive a scope and later steps", function()
    local model, s = nn.Linear(2, 1), mascon.EarlyStopping()
    local best = model.weight:detach():clone():totable()
    mascon.scope(function()
      s:step(1, model)
    end)
    mascon.no_grad(function() model.weight:add_(1) end)
    s:step(2, model)
    s:restore(model)
    assert.same(best, model.weight:totable())
  end)

  it("says what is missing", function()
    local s = mascon.EarlyStopping()
    assert_says("EarlyStopping: no step has brought a value yet", s.restore, s, nn.Linear(1, 1))
    s:step(1)
    assert_says("the best step kept no weights; give the model to step", s.restore, s, nn.Linear(1, 1))
    assert_says("EarlyStopping: step takes the value to watch; it is nil", s.step, s)
    assert_says("EarlyStopping: the model is 5; expected a module", s.step, s, 1, 5)
    assert_says("EarlyStopping: patience is 0; must be 1 or more", mascon.EarlyStopping, { patience = 0 })
    assert_says('EarlyStopping: mode is "best"; expected one of min, max', mascon.EarlyStopping,
      { mode = "best" })
  end)
end)
