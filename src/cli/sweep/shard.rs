//! Which part of a corpus is read.

use crate::analysis::sweep::Shard;
use anyhow::{Result, anyhow, ensure};
use std::env;

/// Variables that Slurm sets in the tasks of an array.
const TASK: [&str; 3] = ["SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"];
/// The distance between two tasks.
const STEP: &str = "SLURM_ARRAY_TASK_STEP";

/// `I/N`, from 1.
pub fn parse(text: &str) -> Result<Shard> {
    let wrong = || anyhow!("expected a shard from 1 to N, such as 3/7, found `{text}`");
    let (number, of) = text.split_once('/').ok_or_else(wrong)?;
    let shard = number.trim().parse().ok().zip(of.trim().parse().ok()).map(|(number, of)| Shard { number, of });
    shard.filter(|shard| (1..=shard.of).contains(&shard.number)).ok_or_else(wrong)
}

/// The shard of the task of a Slurm array that this process runs in; `None` outside an array.
///
/// # Errors
/// If the variables contradict each other.
pub fn of_slurm() -> Result<Option<Shard>> {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let [Some(task), Some(count), first] = TASK.map(variable) else { return Ok(None) };
    let step = variable(STEP).unwrap_or_else(|| "1".to_owned());
    let first = first.unwrap_or_else(|| "0".to_owned());
    let shard = of_task([&task, &count, &first, &step]);
    ensure!(
        shard.is_some(),
        "the Slurm variables contradict each other: task {task} of {count}, the first is {first}, the step {step}; \
         give --shard I/N"
    );
    Ok(shard)
}

/// The shard of a task, from its number, the number of tasks, the number of the first and the step.
fn of_task(texts: [&str; 4]) -> Option<Shard> {
    let [task, of, first, step]: [Option<u64>; 4] = texts.map(|text| text.parse().ok());
    let (task, of, first, step) = (task?, of?, first?, step.filter(|step| *step > 0)?);
    let number = task.checked_sub(first)? / step + 1;
    (number <= of).then_some(Shard { number, of })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_count_from_one_and_tasks_from_the_first() {
        assert_eq!(parse("3/7").unwrap(), Shard { number: 3, of: 7 });
        assert!(["0/7", "8/7", "3", "a/7", "3/", "-1/7"].into_iter().all(|text| parse(text).is_err()));
        assert_eq!(of_task(["0", "7", "0", "1"]), Some(Shard { number: 1, of: 7 }));
        assert_eq!(of_task(["7", "7", "1", "1"]), Some(Shard { number: 7, of: 7 }));
        assert_eq!(of_task(["9", "4", "3", "3"]), Some(Shard { number: 3, of: 4 }));
        assert_eq!(of_task(["9", "4", "0", "1"]), None);
    }
}
