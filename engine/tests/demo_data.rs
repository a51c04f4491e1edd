//! The demo model's data keep their promises: steps lead to the right answer, and what is held out is never trained on.
//! Apart from the programs that use the data. It must not know about weights.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../examples/demo_data/mod.rs"]
mod demo_data;

use demo_data::dialogue::{self, REFUSAL};
use demo_data::problems::{Op, Problem};
use demo_data::rng::Rng;
use std::collections::HashSet;

/// The last number of the steps, as a person would read the result off them.
fn read_off(problem: &Problem) -> Option<i64> {
    let steps = problem.steps();
    let value: i64 = steps.trim_end().rsplit([' ', '=']).next()?.parse().ok()?;
    Some(if steps.contains("so -(") { -value } else { value })
}

#[test]
fn steps_lead_to_the_answer() {
    for index in 0..20_000 {
        let problem = Problem::any(&mut Rng::new(1, index));
        assert_eq!(read_off(&problem), Some(problem.answer()), "{problem:?}\n{}", problem.steps());
    }
}

#[test]
fn the_steps_of_one_problem_read_like_this() {
    let steps = |op, a, b| Problem { op, a, b }.steps();
    assert_eq!(steps(Op::Add, 47, 85), "47+85:\n7+5=12, carry 1: 2\n4+8+1=13: 132\n");
    assert_eq!(steps(Op::Sub, 47, 85), "47-85: 4<8, so -(85-47)\n15-7=8, borrow 1: 8\n8-4-1=3: 38\n");
    assert_eq!(steps(Op::Mul, 7, 85), "85×7:\n5×7=35, carry 3: 5\n8×7=56, +3=59: 595\n");
}

#[test]
fn held_out_problems_are_never_trained_on() {
    let key = |p: &Problem| (p.op as u8, p.a.min(p.b), p.a.max(p.b));
    let held_out: HashSet<_> = Problem::held_out(1000).iter().map(key).collect();
    for index in 0..50_000 {
        let problem = Problem::for_training(&mut Rng::new(2, index));
        assert!(!held_out.contains(&key(&problem)), "{problem:?}");
    }
}

#[test]
fn the_scored_prompts_are_never_trained_on() {
    let list: HashSet<&str> = include_str!("../demo/other_prompts.txt").lines().collect();
    assert_eq!(list.len(), 100);
    let made: HashSet<String> = (0..400_000).map(|index| demo_data::other::prompt(&mut Rng::new(47, index))).collect();
    let seen: Vec<_> = list.iter().filter(|line| made.contains(**line)).collect();
    assert!(seen.is_empty(), "{seen:?}");
}

/// What training shows of tools is what the engine's template shows of them.
#[test]
fn tools_are_shown_as_the_template_shows_them() {
    use minijinja::{Environment, context};
    let mut environment = Environment::new();
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", |value: minijinja::Value| value.get_attr("raw").unwrap());
    environment.add_template("r1", include_str!("../src/template/deepseek_r1.jinja")).unwrap();
    let template = environment.get_template("r1").unwrap();
    for index in 0..200 {
        let offer = demo_data::offers::sample(&mut Rng::new(4, index));
        let tools = offer.tools.iter().map(|tool| {
            // The schema's own text stands for the filter that writes it: its order of keys and its spaces are tested elsewhere.
            let parameters = context!(raw => tool.parameters.as_str());
            context!(function => context!(name => tool.name.as_str(), description => tool.description.as_str(), parameters))
        });
        let tools: Vec<_> = tools.collect();
        for system in ["", "Be concise."] {
            let asked = context!(role => "user", content => "2+3");
            let messages = vec![context!(role => "system", content => system), asked];
            let rendered = template.render(context!(
                messages, tools => tools.clone(), bos_token => dialogue::BOS, opens_thought => true, add_generation_prompt => true
            ));
            let made = format!("{}{}2+3{}<think>\n", demo_data::calls::opened(&offer, system), dialogue::USER, dialogue::ASSISTANT);
            assert_eq!(rendered.unwrap(), made);
        }
    }
}

#[test]
fn schemas_of_offered_tools_are_json_as_the_template_writes_it() {
    for index in 0..500 {
        for tool in demo_data::offers::sample(&mut Rng::new(5, index)).tools {
            let schema: serde_json::Value = serde_json::from_str(&tool.parameters).unwrap();
            let spaced = serde_json::to_string(&schema).unwrap().replace("\":", "\": ").replace(",\"", ", \"");
            assert_eq!(tool.parameters, spaced);
        }
    }
}

#[test]
fn a_conversation_ends_in_an_open_thought() {
    for index in 0..2_000 {
        let made = dialogue::sample(&mut Rng::new(3, index));
        assert!(made.prompt.starts_with(dialogue::BOS) && made.prompt.ends_with("<｜Assistant｜><think>\n"));
        assert!(made.completion.contains("</think>\n\n") && made.completion.ends_with(dialogue::EOS));
        assert_eq!(made.declined, made.completion.contains(REFUSAL));
    }
}
