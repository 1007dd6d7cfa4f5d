//! The ring-fence of high winners by the words of the documents, player by player.

use std::collections::BTreeMap;

use super::exact::shared;
use crate::transactions::transaction::Player;

/// What stands against each player: not positive.
pub type Stands = BTreeMap<Player, i64>;

/// What the players who lost again give back, and what is taken out for those who won: by how much the total is less, and
/// then more.
pub fn fence(total: i64, bases: &BTreeMap<Player, i64>, stands: &mut Stands, threshold: i64) -> (i64, i64) {
    let mut back = 0;
    for (player, stand) in stands.iter_mut() {
        let lost = bases.get(player).copied().unwrap_or_default();
        if lost > 0 {
            let own = lost.min(-*stand);
            *stand += own;
            back += own;
        }
    }
    let mut out = 0;
    let left = total - back;
    if left < 0 {
        let high: Vec<(Player, i64)> =
            bases.iter().filter(|(_, base)| **base <= -threshold).map(|(player, base)| (*player, -base)).collect();
        let losses: Vec<i64> = high.iter().map(|(_, loss)| *loss).collect();
        out = losses.iter().sum::<i64>().min(-left);
        if out > 0 {
            for ((player, _), part) in high.iter().zip(shared(out, &losses)) {
                *stands.entry(*player).or_default() -= part;
            }
        }
    }
    stands.retain(|_, stand| *stand != 0);
    (back, out)
}
